"""Checkpoints: the spec as JSON, weights there and back, files that are refused."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from motionstream_core.checkpoints import (
    ModelSpec,
    build_model,
    load_model,
    load_tiny_vae,
    save_model,
    save_tiny_vae,
)
from motionstream_core.checkpoints import load as module
from motionstream_core.checkpoints.spec import FORMAT_VERSION, ImageRule, Role
from motionstream_core.checkpoints.tiny_vae_weights import TINY_VAE_KEY
from motionstream_core.geometry import ChunkPlan, VaeStride
from motionstream_core.models.conditioning import InputLayout
from motionstream_core.models.kv_cache import RopeRule
from motionstream_core.models.track_head import CoordinateRule, HeadVariant, TrackHeadConfig
from motionstream_core.models.track_wan import TrackWan
from motionstream_core.models.vae.tiny_vae import TinyVae, TinyVaeConfig
from motionstream_core.models.wan import WanConfig
from motionstream_core.training.recipes.bundled_specs import STUDENT_SPEC, TEACHER_SPEC

BACKBONE = WanConfig(
    dim=24, ffn_dim=32, num_heads=2, num_layers=1, in_channels=9, out_channels=4, freq_dim=8, text_dim=6, text_len=4
)
SPEC = ModelSpec(
    role="student",
    backbone=BACKBONE,
    layout=InputLayout((("noise", 4), ("track", 5))),
    track_head=TrackHeadConfig(id_dim=8, out_channels=5),
    vocabulary=("a", "red", "ball"),
    frame_size=(32, 48),
)
TINY = TinyVaeConfig(latent_channels=4, decoder_widths=(12, 8, 8, 6), encoder_width=4, encoder_lookahead=True)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)

counts = st.integers(1, 64)
floats = st.floats(0.0, 100.0)


@st.composite
def backbones(draw: st.DrawFn, in_channels: int, out_channels: int) -> WanConfig:
    num_heads = draw(st.integers(1, 40))
    return WanConfig(
        dim=num_heads * 2 * draw(counts),
        ffn_dim=draw(counts),
        num_heads=num_heads,
        num_layers=draw(counts),
        in_channels=in_channels,
        out_channels=out_channels,
        patch=(1, draw(st.integers(1, 4)), draw(st.integers(1, 4))),
        freq_dim=draw(counts),
        text_dim=draw(counts),
        text_len=draw(counts),
        image_dim=draw(st.none() | counts),
        eps=draw(st.floats(1e-9, 1e-3)),
        rope_theta=draw(st.floats(1.0, 1e7)),
    )


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    head = draw(
        st.none()
        | st.builds(
            TrackHeadConfig,
            variant=st.sampled_from(get_args(HeadVariant)),
            coordinates=st.sampled_from(get_args(CoordinateRule)),
            id_dim=counts,
            out_channels=counts,
            time_stride=counts,
            space_stride=counts,
            bias=st.booleans(),
        )
    )
    kinds = draw(st.permutations(["noise", "mask", "image", *(["track"] if head else [])]))
    slots = tuple((kind, head.out_channels if head and kind == "track" else draw(counts)) for kind in kinds)
    layout = InputLayout(slots)  # type: ignore[arg-type]
    image_rule = draw(st.sampled_from(get_args(ImageRule)))
    chunk_frames = draw(counts)
    return ModelSpec(
        role=draw(st.sampled_from(get_args(Role))),
        backbone=draw(backbones(layout.num_channels, layout.width("noise"))),
        layout=layout,
        track_head=head,
        vae_stride=VaeStride(head.time_stride, head.space_stride)
        if head
        else draw(st.builds(VaeStride, counts, counts)),
        image_rule=image_rule,
        pin_first_latent=draw(st.booleans()) if image_rule != "none" else False,
        chunk_plan=ChunkPlan(chunk_frames, draw(st.sampled_from([1, chunk_frames]))),
        sink_frames=draw(counts),
        window_frames=draw(counts),
        rope_rule=draw(st.sampled_from(get_args(RopeRule))),
        step_list=tuple(sorted(draw(st.sets(st.integers(1, 1000), min_size=1, max_size=5)), reverse=True)),
        shift=draw(st.floats(0.1, 20.0)),
        text_weight=draw(floats),
        motion_weight=draw(floats),
        vocabulary=tuple(draw(st.lists(st.text(), max_size=4))),
        frame_size=(draw(counts), draw(counts)),
        fps=draw(st.floats(0.1, 1000.0) | st.integers(1, 60)),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": InputLayout((("noise", 8), ("mask", 12), ("image", 16), ("track", 16)))}, "8 noise channels"),
        ({"vae_stride": VaeStride(4, 16)}, "strides"),
        ({"step_list": ()}, "step_list"),
        ({"step_list": (333, 667)}, "descend"),
        ({"image_rule": "none", "pin_first_latent": True}, "pin_first_latent"),
    ],
)
def test_a_spec_refuses_what_cannot_run(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TEACHER_SPEC, **changes)


@settings(deadline=None, max_examples=60)
@given(specs())
def test_a_spec_survives_json(spec: ModelSpec) -> None:
    text = spec.to_json()
    assert json.loads(text)["version"] == FORMAT_VERSION
    revived = ModelSpec.from_json(text)
    assert revived == spec
    assert hash(revived) == hash(spec)  # lists left in place of tuples would not hash


def test_every_field_is_in_the_json() -> None:
    names = {f.name for f in dataclasses.fields(ModelSpec)}
    assert json.loads(SPEC.to_json()).keys() == names | {"version"}


def edited(**changes: Any) -> str:
    """SPEC's JSON with fields changed; a dotted path is written with __, None removes a field."""
    values = json.loads(SPEC.to_json())
    for path, value in changes.items():
        *parents, name = path.split("__")
        place = values
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[name]
        else:
            place[name] = value
    return json.dumps(values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 99}, r"version is 99; this release reads version 1"),
        ({"version": None}, r"version is None"),
        ({"colour": 1}, r"spec: unknown field 'colour'"),
        ({"backbone__colour": 1}, r"spec\.backbone: unknown field 'colour'"),
        ({"role": None}, r"spec: field 'role' is missing"),
        ({"backbone__dim": None}, r"spec\.backbone: field 'dim' is missing"),
        ({"role": "critic"}, r"spec\.role is 'critic'; known are teacher, student"),
        ({"rope_rule": "relative"}, r"spec\.rope_rule is 'relative'; known are absolute, sink_fixed, by_slot"),
        ({"track_head__variant": "pooled"}, r"spec\.track_head\.variant is 'pooled'"),
        ({"backbone__dim": "24"}, r"spec\.backbone\.dim is '24'; it must be of type int"),
        ({"backbone": 3}, r"spec\.backbone is 3; it must be an object"),
        ({"shift": "6"}, r"spec\.shift is '6'; it must be of type float"),
        ({"step_list": 3}, r"spec\.step_list is 3; it must be a list"),
        ({"step_list": [3, "a"]}, r"spec\.step_list is 'a'"),
        ({"frame_size": [480]}, r"spec\.frame_size is \[480\]; it must have 2 entries"),
        ({"layout__slots": [["noise", 9, 1]]}, r"spec\.layout\.slots is .*; it must have 2 entries"),
        ({"backbone__in_channels": 10}, r"layout has 9 channels, but the backbone takes 10"),
        ({"track_head__out_channels": 6}, r"layout has 5 track channels, but the track head gives 6"),
        ({"pin_first_latent": True}, r"pin_first_latent needs an image"),
    ],
    ids=str,
)
def test_a_spec_that_does_not_fit_names_the_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelSpec.from_json(edited(**changes))


@pytest.mark.parametrize("text", ["{", "[]", "3", '"spec"'])
def test_what_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="model spec"):
        ModelSpec.from_json(text)


def test_fields_with_a_default_may_be_absent() -> None:
    assert ModelSpec.from_json(edited(shift=None, vae_stride=None)) == SPEC


def model(seed: int = 0) -> TrackWan:
    torch.manual_seed(seed)
    return build_model(SPEC)


@DTYPES
def test_a_model_comes_back(tmp_path: Path, dtype: torch.dtype) -> None:
    path, saved = tmp_path / "new folder" / "model.safetensors", model()
    save_model(path, saved, SPEC, dtype)
    loaded = load_model(path)
    assert loaded.spec == SPEC
    assert not loaded.model.training
    own = loaded.model.state_dict()
    assert own.keys() == saved.state_dict().keys()
    assert any(name.startswith("track_head.") for name in own) and "text_encoder.embedding.weight" in own
    assert all(torch.equal(own[name], tensor.to(dtype)) for name, tensor in saved.state_dict().items())
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    widened = load_model(path, torch.float32).model.state_dict()
    assert all(torch.equal(widened[name], tensor.to(dtype).float()) for name, tensor in saved.state_dict().items())
    assert [each.name for each in path.parent.iterdir()] == ["model.safetensors"]
    assert load_model(path, role="student").spec == SPEC
    for known in ({"role": "teacher"}, {"family": "longlive"}):
        with pytest.raises(ValueError, match="its metadata say what it is, a student; neither role nor family"):
            load_model(path, **known)


def test_weights_are_saved_as_they_are_by_default(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", model().bfloat16(), SPEC)
    assert load_model(tmp_path / "model.safetensors").model.patch_embedding.weight.dtype == torch.bfloat16


@DTYPES
def test_a_tiny_vae_comes_back(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    path, saved = tmp_path / "tiny.safetensors", TinyVae(TINY)
    save_tiny_vae(path, saved, dtype)
    loaded = load_tiny_vae(path)
    assert loaded.config == TINY
    own = loaded.state_dict()
    assert own.keys() == saved.state_dict().keys()
    assert all(torch.equal(own[name], tensor.to(dtype).float()) for name, tensor in saved.state_dict().items())
    assert load_tiny_vae(path, dtype).dtype == dtype
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())
    latents = torch.randn(1, 4, 2, 3, 3)
    if dtype == torch.float32:
        with torch.no_grad():
            assert torch.equal(loaded.decode(latents), saved.decode(latents))


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, model(0), SPEC)
    before = path.read_bytes()

    def fail(tensors: object, filename: str, metadata: object) -> None:
        Path(filename).write_bytes(b"half")
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(module, "save_file", fail)
        with pytest.raises(OSError, match="no space left"):
            save_model(path, model(1), SPEC)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["model.safetensors"]
    save_model(path, model(1), SPEC)
    assert path.read_bytes() != before


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    foreign, broken = tmp_path / "foreign.safetensors", tmp_path / "broken.safetensors"
    save_file({"weight": torch.zeros(2)}, str(foreign), {"format": "pt"})
    broken.write_bytes(b"this is no safetensors file at all")
    with pytest.raises(ValueError, match=r"foreign\.safetensors: these are no weights of a Wan transformer"):
        load_model(foreign)
    with pytest.raises(ValueError, match=r"foreign\.safetensors: these tensors are no tiny VAE\. Closest is taew2_1"):
        load_tiny_vae(foreign)
    with pytest.raises(FileNotFoundError, match=r"absent.*docs/models\.md says where published weights are found"):
        load_model(tmp_path / "absent.safetensors")
    for load in (load_model, load_tiny_vae):
        with pytest.raises(ValueError, match=r"broken\.safetensors: this is no safetensors file"):
            load(broken)


def test_a_model_is_no_tiny_vae_and_the_other_way(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", model(), SPEC)
    save_tiny_vae(tmp_path / "tiny.safetensors", TinyVae(TINY))
    with pytest.raises(ValueError, match=r"model\.safetensors: this is a transformer, not a tiny VAE"):
        load_tiny_vae(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"tiny\.safetensors: this is a tiny VAE, not a transformer"):
        load_model(tmp_path / "tiny.safetensors")


def test_a_tiny_vae_of_a_later_release_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    config = dataclasses.asdict(TINY) | {"colour": 1}
    save_file(dict(TinyVae(TINY).state_dict()), str(path), {TINY_VAE_KEY: json.dumps(config)})
    with pytest.raises(ValueError, match="tiny VAE: unknown field 'colour'"):
        load_tiny_vae(path)


def test_tensors_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors = dict(model().state_dict())
    del tensors["head.modulation"]
    tensors["head.extra"] = torch.zeros(1)
    tensors["blocks.0.self_attn.q.weight"] = torch.zeros(24, 23)
    tensors["track_head.proj.weight"] = torch.zeros(5, 31, 1, 1, 1)
    save_file(tensors, str(path), {module.SPEC_KEY: SPEC.to_json()})
    with pytest.raises(ValueError) as caught:
        load_model(path)
    message = str(caught.value)
    assert str(path) in message
    assert "missing ['head.modulation']; unknown ['head.extra']; wrong shape [" in message
    assert "blocks.0.self_attn.q.weight is (24, 23), not (24, 24)" in message
    assert "track_head.proj.weight is (5, 31, 1, 1, 1), not (5, 32, 1, 1, 1)" in message
    assert message.count(" is (") == 2


def test_names_are_those_of_wan(tmp_path: Path) -> None:
    """As Wan-Video/Wan2.1 and ComfyUI name them, so that their files load without a key map."""
    spec = ModelSpec(
        role="teacher",
        backbone=dataclasses.replace(BACKBONE, image_dim=10),
        layout=InputLayout((("noise", 4), ("track", 5))),
        track_head=TrackHeadConfig(variant="temporal_conv", id_dim=8, out_channels=5),
    )
    save_model(tmp_path / "model.safetensors", build_model(spec), spec)
    with safe_open(str(tmp_path / "model.safetensors"), framework="pt") as file:
        saved = sorted(file.keys())
    linears = [
        "blocks.0.cross_attn.k",
        "blocks.0.cross_attn.k_img",
        "blocks.0.cross_attn.o",
        "blocks.0.cross_attn.q",
        "blocks.0.cross_attn.v",
        "blocks.0.cross_attn.v_img",
        "blocks.0.ffn.0",
        "blocks.0.ffn.2",
        "blocks.0.norm3",
        "blocks.0.self_attn.k",
        "blocks.0.self_attn.o",
        "blocks.0.self_attn.q",
        "blocks.0.self_attn.v",
        "head.head",
        "img_emb.proj.0",
        "img_emb.proj.1",
        "img_emb.proj.3",
        "img_emb.proj.4",
        "patch_embedding",
        "text_embedding.0",
        "text_embedding.2",
        "time_embedding.0",
        "time_embedding.2",
        "time_projection.1",
    ]
    weights = [
        "blocks.0.cross_attn.norm_k.weight",
        "blocks.0.cross_attn.norm_k_img.weight",
        "blocks.0.cross_attn.norm_q.weight",
        "blocks.0.self_attn.norm_k.weight",
        "blocks.0.self_attn.norm_q.weight",
        "blocks.0.modulation",
        "head.modulation",
        "track_head.proj.weight",
        "track_head.temporal_conv.weight",
    ]
    assert saved == sorted([*weights, *(f"{name}.{kind}" for name in linears for kind in ("weight", "bias"))])


@pytest.mark.parametrize("plan", [ChunkPlan(3, 1), ChunkPlan(3, 3), ChunkPlan(2, 2)])
def test_a_students_lengths_fill_whole_chunks(plan: ChunkPlan) -> None:
    spec = replace(STUDENT_SPEC, chunk_plan=plan)
    for num_frames in range(1, 60):
        whole = (num_frames - 1) % 4 == 0 and 1 + (num_frames - 1) // 4 in [plan.chunk(i).stop for i in range(20)]
        assert (spec.lengths.at_least(num_frames) == num_frames) == whole


def test_a_teachers_lengths_are_its_vaes() -> None:
    for num_frames in range(1, 60):
        assert (TEACHER_SPEC.lengths.at_least(num_frames) == num_frames) == ((num_frames - 1) % 4 == 0)


@pytest.mark.parametrize("rule", get_args(RopeRule))
def test_the_cache_is_as_large_as_the_spec_says(rule: RopeRule) -> None:
    spec = replace(STUDENT_SPEC, rope_rule=rule)
    made = build_model(spec).make_cache(
        *(1, 16, 8), sink_frames=2, window_frames=5, chunk_frames=spec.chunk_plan.chunk_frames, rope_rule=rule
    )
    assert spec.cache_bytes((128, 64), 4, sink_frames=2, window_frames=5) == made.num_bytes
