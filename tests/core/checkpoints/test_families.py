"""Every published family at full size: its names and shapes, from other codes, on the meta device.

The names come from diffusers, which is asked here, and from the original codes, which were asked by
tests/data/make_published_keys.py. No weight is ever made.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from motionstream_core.checkpoints.detect import detect_wan, shapes_of
from motionstream_core.checkpoints.families import BY_KEY
from motionstream_core.checkpoints.key_maps import to_original
from motionstream_core.checkpoints.read import Stored
from motionstream_core.checkpoints.spec import ModelSpec
from motionstream_core.checkpoints.tiny_vae_weights import tiny_vae_shapes
from motionstream_core.checkpoints.vae_weights import vae_config, vae_to_diffusers, vae_to_original
from motionstream_core.geometry import ChunkPlan
from motionstream_core.models.vae.tiny_vae import TAEW2_1, TAEW2_2

pytestmark = pytest.mark.thorough
transformer_wan = pytest.importorskip("diffusers.models.transformers.transformer_wan", reason="the reference")

PUBLISHED: dict[str, dict[str, list[int]]] = json.loads(
    (Path(__file__).parents[2] / "data" / "published_keys.json").read_text("utf-8")
)
SMALL = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}
LARGE = {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40}
TI2V = {"num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30, "in_channels": 48, "out_channels": 48}
CLIP = {"image_dim": 1280}
# diffusers' arguments, what is found without a hint, the slots of the input
FULL_SIZE: dict[str, tuple[dict[str, Any], str, tuple[tuple[str, int], ...]]] = {
    "t2v 1.3B": (SMALL, "Wan 2.1 T2V 1.3B", (("noise", 16),)),
    "i2v 14B": (
        LARGE | CLIP | {"in_channels": 36},
        "Wan 2.1 I2V or Fun-InP 14B",
        (("noise", 16), ("mask", 4), ("image", 16)),
    ),
    "fun-inp 1.3B": (
        SMALL | CLIP | {"in_channels": 36},
        "Wan 2.1 I2V or Fun-InP 1.3B",
        (("noise", 16), ("mask", 4), ("image", 16)),
    ),
    "fun-control 1.3B": (
        SMALL | CLIP | {"in_channels": 48},
        "Wan 2.1 Fun-Control 1.3B",
        (("noise", 16), ("control", 16), ("image", 16)),
    ),
    "ti2v 5B": (TI2V, "Wan 2.2 TI2V 5B", (("noise", 48),)),
}
TRACK_SLOTS = (("noise", 16), ("mask", 4), ("image", 16), ("track", 16))


def diffusers_names(arguments: dict[str, Any]) -> dict[str, Tensor]:
    return dict(_diffusers_names(tuple(arguments.items())))


@functools.cache
def _diffusers_names(arguments: tuple[tuple[str, Any], ...]) -> dict[str, Tensor]:
    given = {"in_channels": 16, **dict(arguments)}
    if "image_dim" in given:
        given["added_kv_proj_dim"] = 128 * given["num_attention_heads"]
    with torch.device("meta"):
        return dict(transformer_wan.WanTransformer3DModel(**given).state_dict())


def track_names(bias: bool) -> dict[str, Tensor]:
    """FastVideo's TrackWan: Fun-InP's tensors, 16 more input channels, and its TrackEncoder (track_encoder.py)."""
    weights = diffusers_names(SMALL | CLIP | {"in_channels": 52})
    shapes = {"temporal_conv.weight": (16, 64, 4, 1, 1), "proj.weight": (16, 16, 1, 1, 1)}
    if bias:
        shapes |= {"temporal_conv.bias": (16,), "proj.bias": (16,)}
    return weights | {f"track_encoder.{name}": torch.empty(shape, device="meta") for name, shape in shapes.items()}


def detected(tensors: dict[str, Tensor], **known: Any) -> tuple[str, ModelSpec]:
    beside = {name: known.pop(name) for name in ("config", "metadata", "part") if name in known}
    original = to_original(tensors)
    family, spec = detect_wan(shapes_of(original), Stored(original, **beside), **known)
    return family.name_of(spec.backbone), spec


@pytest.mark.parametrize("name", FULL_SIZE)
def test_wan_as_diffusers_names_it(name: str) -> None:
    arguments, title, slots = FULL_SIZE[name]
    found, spec = detected(diffusers_names(arguments))
    assert (found, spec.role, spec.layout.slots, spec.track_head) == (title, "teacher", slots, None)
    backbone = spec.backbone
    assert (backbone.num_heads, backbone.ffn_dim, backbone.num_layers) == (
        arguments["num_attention_heads"],
        arguments["ffn_dim"],
        arguments["num_layers"],
    )
    assert (backbone.head_dim, backbone.text_dim, backbone.freq_dim, backbone.text_len) == (128, 4096, 256, 512)
    assert backbone.patch == (1, 2, 2) and backbone.image_dim == arguments.get("image_dim")
    assert (spec.vae_stride.time, spec.vae_stride.space) == (4, 16 if name == "ti2v 5B" else 8)
    assert spec.pin_first_latent == (name == "ti2v 5B")


@pytest.mark.parametrize(
    ("published", "prefix", "layers", "title"),
    [
        ("wan21_t2v_1.3b", "", 30, "Wan 2.1 T2V 1.3B"),
        ("wan21_i2v_14b", "model.diffusion_model.", 40, "Wan 2.1 I2V or Fun-InP 14B"),
    ],
)
def test_wan_as_its_own_code_and_comfyui_name_it(published: str, prefix: str, layers: int, title: str) -> None:
    tensors = {}
    for name, shape in PUBLISHED[published].items():
        for index in range(layers) if "*" in name else range(1):
            tensors[prefix + name.replace("*", str(index))] = torch.empty(shape, device="meta")
    assert detected(tensors)[0] == title


@pytest.mark.parametrize("bias", [True, False])
def test_track_v0_keeps_every_rule_of_its_training(bias: bool) -> None:
    """fastvideo/configs/pipelines/wantrack.py, models/dits/trackwan, pipelines/stages/wantrack_causal_denoising.py."""
    title, spec = detected(track_names(bias), config={"_class_name": "CausalTrackWanTransformer3DModel"})
    assert (title, spec.role, spec.layout.slots) == ("FastVideo Track-v0 1.3B", "student", TRACK_SLOTS)
    head = spec.track_head
    assert head is not None
    assert (head.variant, head.coordinates, head.id_dim, head.bias) == ("temporal_conv", "round", 64, bias)
    assert (head.out_channels, head.time_stride, head.space_stride) == (16, 4, 8)
    assert spec.chunk_plan == ChunkPlan(chunk_frames=3, first_chunk_frames=1)
    assert spec.image_rule == "grey_clip" and not spec.pin_first_latent
    # local attention over 6 latent frames: the sink, the rolling part, the current chunk
    assert spec.sink_frames + spec.window_frames + spec.chunk_plan.chunk_frames == 6 and spec.sink_frames == 1
    assert (spec.rope_rule, spec.step_list, spec.shift) == ("by_slot", (1000, 750, 500, 250), 6.0)
    assert (spec.frame_size, spec.fps, spec.backbone.image_dim) == ((480, 832), 16.0, 1280)


def test_trackwan_is_the_teacher_of_the_same_tensors() -> None:
    title, spec = detected(track_names(True), config={"_class_name": "TrackWanTransformer3DModel"})
    assert (title, spec.role, spec.layout.slots) == ("FastVideo TrackWan 1.3B", "teacher", TRACK_SLOTS)
    assert (spec.text_weight, spec.motion_weight, spec.shift) == (3.0, 1.5, 6.0)
    assert spec.image_rule == "grey_clip"


def test_bare_track_weights_ask_for_their_role() -> None:
    with pytest.raises(ValueError, match=r'TrackWan \(teacher\) or Track-v0 \(student\) alike.*role="student"'):
        detected(track_names(True))
    assert detected(track_names(True), role="student")[0] == "FastVideo Track-v0 1.3B"
    assert detected(track_names(True), role="teacher")[0] == "FastVideo TrackWan 1.3B"
    assert detected(track_names(True), family="track_v0")[1].role == "student"


@pytest.mark.parametrize(
    "hint",
    [
        {"part": "generator_ema"},
        {"part": "generator"},
        {"metadata": {"config": '{"transformer": {"causal_ar": true}}'}},
        {"config": {"_class_name": "CausalWanTransformer3DModel"}},
        {"role": "student"},
    ],
    ids=str,
)
def test_self_forcing_is_told_by_what_lies_beside_it(hint: dict[str, Any]) -> None:
    title, spec = detected(diffusers_names(SMALL), **hint)
    assert (title, spec.role, spec.track_head) == ("Self-Forcing 1.3B", "student", None)
    assert (spec.step_list, spec.shift) == ((1000, 750, 500, 250), 5.0)
    # what it was trained on: 21 latent frames, positions 0 to 20
    assert spec.sink_frames + spec.window_frames + spec.chunk_plan.chunk_frames == 21 and spec.rope_rule == "by_slot"
    with pytest.raises(ValueError, match=r"no track head: it was trained without trajectories.*docs/models\.md"):
        spec.check_takes_motion()
    BY_KEY["track_v0"].spec.check_takes_motion()


def test_a_family_may_be_named_where_several_fit() -> None:
    names = diffusers_names(SMALL)
    assert detected(names)[1].role == "teacher"
    title, spec = detected(names, family="longlive")
    assert title == "LongLive 1.3B" and (spec.sink_frames, spec.window_frames) == (3, 6)  # 12 with the current chunk
    assert detected(names, family="causal_forcing_framewise")[1].chunk_plan == ChunkPlan(1, 1)
    with pytest.raises(ValueError, match="family is 'longlife'; known are track_v0, "):
        detected(names, family="longlife")
    with pytest.raises(ValueError, match=r"these weights are no FastVideo Track-v0\. Closest is Self-Forcing"):
        detected(names, family="track_v0")
    with pytest.raises(ValueError, match=r"fit Wan 2\.1 I2V or Fun-InP, which is no student"):
        detected(diffusers_names(SMALL | CLIP | {"in_channels": 36}), role="student")


def test_what_is_missing_and_unknown_is_listed_with_the_closest_family() -> None:
    names = diffusers_names(SMALL)
    del names["blocks.3.attn1.to_q.weight"]
    names["blocks.0.attn3.to_q.weight"] = names["blocks.0.attn1.to_q.weight"]
    names["proj_out.bias"] = torch.empty(63, device="meta")
    with pytest.raises(ValueError) as caught:
        detected(names)
    assert str(caught.value) == (
        "closest is Wan 2.1 T2V 1.3B: missing ['blocks.3.self_attn.q.weight']; "
        "unknown ['blocks.0.attn3.to_q.weight']; wrong shape ['head.head.bias is (63,), not (64,)']"
    )
    names = diffusers_names(SMALL | CLIP | {"in_channels": 36})
    del names["patch_embedding.weight"]
    with pytest.raises(
        ValueError, match=r"^Closest is Wan 2\.1 I2V .*missing \['patch_embedding.weight'\]; unknown none"
    ):
        detected(names)
    with pytest.raises(ValueError, match=r"no known model takes 20 input channels and gives 16, without a track head"):
        detected(diffusers_names(SMALL | {"in_channels": 20}))


def test_a_head_size_that_nothing_tells_is_asked_for() -> None:
    names = diffusers_names({"num_attention_heads": 2, "ffn_dim": 64, "num_layers": 1, "attention_head_dim": 24})
    with pytest.raises(
        ValueError, match=r"48 wide, which is no multiple of .* head size 128; its config\.json must say"
    ):
        detected(names)
    title, spec = detected(names, config={"num_attention_heads": 2})
    assert spec.backbone.head_dim == 24 and title == "Wan 2.1 T2V (dim 48, 1 layers)"


@pytest.mark.parametrize(("name", "config"), [("taew2_1", TAEW2_1), ("taew2_2", TAEW2_2)])
def test_tiny_vaes_have_taehvs_names_and_shapes(name: str, config: Any) -> None:
    assert tiny_vae_shapes(config) == {key: tuple(shape) for key, shape in PUBLISHED[name].items()}


@pytest.mark.parametrize("name", ["wan21_vae", "wan22_vae"])
def test_a_full_vaes_original_names_are_diffusers_names(name: str) -> None:
    autoencoder = pytest.importorskip("diffusers.models.autoencoders.autoencoder_kl_wan").AutoencoderKLWan
    original = {key: torch.empty(shape, device="meta") for key, shape in PUBLISHED[name].items()}
    found = vae_to_diffusers(original)
    with torch.device("meta"):
        theirs = autoencoder(**vae_config(Stored(original))).state_dict()
    assert shapes_of(found) == shapes_of(theirs)
    back = vae_to_original(found)
    assert back.keys() == original.keys() and all(back[key] is original[key] for key in original)
    assert vae_to_diffusers(found) == found  # diffusers' names stay


def test_the_wan_21_vae_map_is_diffusers_own() -> None:
    tools = pytest.importorskip("diffusers.loaders.single_file_utils")
    names = {key: key for key in PUBLISHED["wan21_vae"]}
    assert vae_to_diffusers(names) == tools.convert_wan_vae_to_diffusers(names)
