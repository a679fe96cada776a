"""What the nodes for core's samplers give and refuse, and what a stream leaves on disk; called without a host."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
import torch

Pack = Callable[[str], Any]
WORDS = "a red circle , still air"
SIDE = 32


def model_of(pack: Pack, spec: Any) -> Any:
    """A MODEL with random weights."""
    checkpoints = pack("motionstream_core.checkpoints")
    loaded = checkpoints.LoadedModel(checkpoints.build_model(spec).eval().requires_grad_(False), spec)
    return pack("nodes.host.network").host_model(loaded, "random", torch.float32)


@pytest.fixture(scope="module")
def narrow(pack: Pack) -> Any:
    """The bundled teacher's spec, narrower."""
    torch.manual_seed(0)
    spec = pack("motionstream_core.training.recipes.bundled_specs").TEACHER_SPEC
    return replace(spec, backbone=replace(spec.backbone, dim=48, ffn_dim=64, num_heads=2, num_layers=2))


@pytest.fixture(scope="module")
def teacher(pack: Pack, narrow: Any) -> Any:
    return model_of(pack, narrow)


@pytest.fixture(scope="module")
def student(pack: Pack, narrow: Any) -> Any:
    return model_of(pack, replace(narrow, role="student", pin_first_latent=True))


@pytest.fixture(scope="module")
def from_text(pack: Pack, narrow: Any) -> Any:
    """A student that takes neither image nor tracks, and reads another encoder's text: as Self-Forcing."""
    spec = replace(
        narrow,
        role="student",
        backbone=replace(narrow.backbone, in_channels=16),
        layout=pack("motionstream_core.models.conditioning").InputLayout((("noise", 16),)),
        track_head=None,
        image_rule="none",
        chunk_plan=pack("motionstream_core.geometry").ChunkPlan(3, 3),
        vocabulary=(),
    )
    return model_of(pack, spec)


def tiny_vae(pack: Pack, name: str, **changes: Any) -> Any:
    """The bundled tiny VAE with changes to its configuration, with random weights."""
    config = replace(pack("motionstream_core.training.stages.tiny_vae.stage").BUNDLED_VAE, **changes)
    tiny = pack("motionstream_core.models.vae.tiny_vae").TinyVae(config)
    return pack("nodes.host.vae").StreamVae(tiny.eval().requires_grad_(False), name)


@pytest.fixture(scope="module")
def vae(pack: Pack) -> Any:
    return tiny_vae(pack, "random vae")


def payload(num_frames: int = 9) -> dict[str, Any]:
    path = torch.linspace(4, 28, num_frames)
    points = torch.stack([path, torch.full_like(path, 16)], -1)[:, None]
    return {"track_path": points, "track_visibility": torch.ones(num_frames, 1, dtype=torch.bool)}


def picture() -> torch.Tensor:
    return torch.rand(1, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(1))


def stream(pack: Pack, model: Any, vae: Any, **changes: Any) -> Any:
    inputs = {
        "image": picture(),
        "prompt": WORDS,
        "width": SIDE,
        "height": SIDE,
        "length": 13,
        "fit": "crop",
        "seed": 5,
        "sink_frames": -1,
        "window_frames": -1,
        "steps": -1,
    }
    return pack("nodes.streaming.streamer").MotionStreamStudentStreamer.execute(
        model=model, vae=vae, **{**inputs, **changes}
    )


def text(pack: Pack, model: Any, prompt: str) -> Any:
    return pack("nodes.sampling.core_sampling").MotionStreamTextEncode.execute(model, prompt).args[0]


def applied(pack: Pack, model: Any, vae: Any, **changes: Any) -> tuple[Any, ...]:
    inputs = {
        "positive": text(pack, model, WORDS),
        "negative": text(pack, model, ""),
        "image": picture(),
        "motion": payload(),
        "width": SIDE,
        "height": SIDE,
        "length": 9,
        "fit": "crop",
    }
    node = pack("nodes.sampling.core_sampling").MotionStreamApplyMotion
    return node.execute(model=model, vae=vae, **{**inputs, **changes}).args


def conditions(model: Any, conditioning: Any, frames: int = 3, **more: Any) -> dict[str, torch.Tensor]:
    """What the model makes of an entry, as a sampler asks for it."""
    tokens, options = conditioning[0]
    noise = torch.zeros(1, 16, frames, SIDE // 8, SIDE // 8)
    given = {**options, **more, "cross_attn": tokens, "noise": noise, "device": "cpu", "prompt_type": "positive"}
    return {name: found.cond for name, found in model.model.extra_conds(**given).items()}


def test_a_sampler_sees_what_our_own_sampler_sees(pack: Pack, teacher: Any, vae: Any) -> None:
    positive, negative, latent = applied(pack, teacher, vae)
    found = conditions(teacher, positive)
    assert latent["samples"].shape == (1, 16, 3, 4, 4)
    view, clip = pack("nodes.host.model").stream_model(teacher), pack("nodes.streaming.request")
    coders = pack("nodes.host.vae").stream_coders(vae)
    plan = clip.plan_clip(
        view, coders, picture(), payload(), role="teacher", width=SIDE, height=SIDE, num_frames=9, fit="crop"
    )
    text = clip.read_text(view, WORDS, None, "positive")
    wanted = clip.clip_conditions(view, plan, text, clip.clip_image_source(view.spec, vae, plan)).whole(3)
    for name in ("mask", "image", "track"):
        assert torch.allclose(found[name], getattr(wanted, name)), name
    assert found["track"].abs().max() > 0
    assert torch.equal(found["c_crossattn"], pack("nodes.host.network").text_tokens(view.network, WORDS))
    assert not torch.equal(found["c_crossattn"], conditions(teacher, negative)["c_crossattn"])


def test_without_motion_the_map_is_zero(pack: Pack, teacher: Any, vae: Any) -> None:
    positive = applied(pack, teacher, vae)[0]
    silent = conditions(teacher, positive, motionstream_no_motion=True)["track"]
    assert silent.shape == conditions(teacher, positive)["track"].shape
    assert silent.abs().max() == 0


def test_the_guider_leaves_out_motion_that_is_not_there(pack: Pack, teacher: Any, vae: Any) -> None:
    node = pack("nodes.sampling.core_sampling").MotionStreamJointGuider
    with_motion = node.execute(teacher, *applied(pack, teacher, vae)[:2], 3.0, 1.5).args[0]
    assert with_motion.weights == (3.0, 1.5)
    assert set(with_motion.original_conds) == {"positive", "negative", "text_only"}
    without = node.execute(teacher, *applied(pack, teacher, vae, motion=None)[:2], 3.0, 1.5).args[0]
    assert without.weights == (3.0, 0.0)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_grey_clip_is_encoded_by_no_vae_that_looks_ahead(pack: Pack, narrow: Any, ahead: bool) -> None:
    """taew2_1 with Track-v0: its latent of the image would hold grey. For a single image it is as good as any."""
    vae = tiny_vae(pack, "taew2_1", encoder_lookahead=ahead)
    require = pack("nodes.host.vae").require_fitting_vae
    require(narrow, vae)
    spec = replace(narrow, image_rule="grey_clip", pin_first_latent=False)
    model = model_of(pack, spec)
    if not ahead:
        applied(pack, model, vae)
        return
    said = r"^vae: taew2_1 encodes each frame together with the three after it.*load Wan's own VAE \(Load VAE: wan_2.1"
    with pytest.raises(ValueError, match=said):
        applied(pack, model, vae)
    clip, view = pack("nodes.streaming.request"), pack("nodes.host.model").stream_model(model)
    with pytest.raises(ValueError, match=said):
        coders = pack("nodes.host.vae").stream_coders(vae)
        clip.plan_clip(
            view, coders, picture(), payload(), role="teacher", width=SIDE, height=SIDE, num_frames=9, fit="crop"
        )


def test_one_vae_encodes_and_another_decodes(pack: Pack, narrow: Any, vae: Any) -> None:
    """Track-v0 with taew2_1 as its decoder: the latents are those of the encoder, the frames are the decoder's."""
    spec = replace(narrow, role="student", image_rule="grey_clip", pin_first_latent=False)
    model, other = model_of(pack, spec), tiny_vae(pack, "taew2_1", encoder_lookahead=True)
    own, both = stream(pack, model, vae), stream(pack, model, vae, decoder=other)
    assert torch.equal(own.args[1]["samples"], both.args[1]["samples"])
    decode = pack("nodes.sampling.teacher").MotionStreamDecode
    assert torch.allclose(both.args[0], decode.execute(other, both.args[1]).args[0], atol=1e-5)
    assert not torch.equal(both.args[0], own.args[0])


def test_a_teachers_clip_is_decoded_by_the_decoder(pack: Pack, teacher: Any, vae: Any) -> None:
    sampling, other = pack("nodes.sampling.teacher"), tiny_vae(pack, "another", encoder_lookahead=True)
    given = {"prompt": WORDS, "width": SIDE, "height": SIDE, "length": 9, "fit": "crop", "steps": 1, "seed": 3}
    guided = {"sampler": "euler", "text_weight": 1.0, "motion_weight": 1.0, "image": picture()}
    latent, _, frames, _ = sampling.MotionStreamTeacherSampler.execute(
        model=teacher, vae=vae, decoder=other, **given, **guided
    ).args
    assert torch.equal(frames, sampling.MotionStreamDecode.execute(other, latent).args[0])
    assert not torch.equal(frames, sampling.MotionStreamDecode.execute(vae, latent).args[0])


def test_a_decoder_of_another_model_is_refused(pack: Pack, student: Any, vae: Any) -> None:
    eight = tiny_vae(pack, "eight channels", latent_channels=8)
    with pytest.raises(ValueError, match=r"^decoder: eight channels makes 8 channels at stride 4 x 8.* takes 16"):
        stream(pack, student, vae, decoder=eight)
    with pytest.raises(ValueError, match=r"^decoder: this is a NoneType; load Wan's VAE"):
        stream(pack, student, vae, decoder=object())


def test_sigmas_are_the_checkpoints_own(pack: Pack, teacher: Any, student: Any) -> None:
    node, schedule = (
        pack("nodes.sampling.core_sampling").MotionStreamSigmas,
        pack("motionstream_core.diffusion.schedule"),
    )
    assert torch.equal(node.execute(student, 0).args[0], schedule.student_sigmas((1000, 667, 333), 5.0))
    assert torch.equal(node.execute(teacher, 7).args[0], schedule.teacher_sigmas(7, 5.0))
    assert len(node.execute(teacher, 0).args[0]) == 51


def test_sigmas_beyond_a_students_own_steps_are_remarked(
    pack: Pack, teacher: Any, student: Any, caplog: pytest.LogCaptureFixture
) -> None:
    node = pack("nodes.sampling.core_sampling").MotionStreamSigmas
    with caplog.at_level(logging.WARNING):
        for model, steps in ((student, 0), (student, 2), (student, 3), (teacher, 99)):
            assert node.execute(model, steps).ui is None
        assert not caplog.records
        result = node.execute(student, 99)
    assert len(result.args[0]) == 100
    (remark,) = result.ui["text"]
    assert "steps is 99, but" in remark and "was distilled for 3 (1000, 667, 333)" in remark
    assert f"MotionStream Sigmas: {remark}" in caplog.text


def test_motion_of_another_size_is_brought_to_the_latents_by_fit(
    pack: Pack, teacher: Any, vae: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Drawn on twice the width: cropped about the middle, or squeezed."""
    key = pack("nodes.host.conditioning").TRACKS
    given = payload()
    x, y = given["track_path"].unbind(-1)
    for fit, wide in (("crop", 2 * x + SIDE), ("stretch", 4 * x)):
        path = torch.stack([wide, 2 * y], dim=-1)
        motion = {**given, "track_path": path, "track_width": 4 * SIDE, "track_height": 2 * SIDE}
        with caplog.at_level(logging.INFO):
            positive, negative, _ = applied(pack, teacher, vae, motion=motion, fit=fit)
        for conditioning in (positive, negative):
            assert torch.allclose(conditioning[0][1][key].points, given["track_path"], atol=1e-5)
        assert f"Apply Motion: motion: made for {4 * SIDE} x {2 * SIDE} px, brought to {SIDE} x {SIDE} px ({fit})" in (
            caplog.text
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": None}, r"^image: this checkpoint starts from an image"),
        ({"motion": {"track_path": torch.zeros(3)}}, r"^motion: "),
    ],
)
def test_what_apply_motion_refuses(pack: Pack, teacher: Any, vae: Any, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        applied(pack, teacher, vae, **changes)


def test_apply_motion_makes_the_nearest_length(pack: Pack, teacher: Any, vae: Any) -> None:
    assert [applied(pack, teacher, vae, length=length)[2]["samples"].shape[2] for length in (9, 10, 11)] == [3, 3, 4]
    assert applied(pack, teacher, vae, seconds=0.5)[2]["samples"].shape[2] == 3  # 8 frames lie nearest to 9


def test_a_student_is_not_for_cores_whole_clip_samplers(pack: Pack, student: Any, vae: Any) -> None:
    found = conditions(student, applied(pack, student, vae)[0])
    context = found.pop("c_crossattn")
    with pytest.raises(ValueError, match=r"causal student.*use the MotionStream Student Streamer"):
        student.model.diffusion_model(torch.zeros(1, 16, 3, 4, 4), torch.tensor([1000.0]), context, **found)


def test_a_model_without_tracks_refuses_them_and_says_why(pack: Pack, from_text: Any, vae: Any) -> None:
    tokens = [[torch.zeros(1, 5, 64), {}]]
    given = {"image": None, "prompt": "", "positive": tokens, "length": 9}
    with pytest.raises(ValueError, match=r"^motion: this checkpoint has no track head: it was trained without"):
        stream(pack, from_text, vae, motion=payload(), **given)
    with pytest.raises(ValueError, match=r"^image: this checkpoint makes video from text alone"):
        stream(pack, from_text, vae, **{**given, "image": picture()})
    assert len(stream(pack, from_text, vae, **given).args[0]) == 9


def test_text_that_a_model_does_not_read_is_refused(pack: Pack, student: Any, from_text: Any, vae: Any) -> None:
    with pytest.raises(ValueError, match=r"^positive: .*reads UMT5; encode the prompt with core's CLIPTextEncode"):
        stream(pack, from_text, vae, image=None, length=9)
    foreign = [[torch.zeros(1, 512, 4096), {}]]
    with pytest.raises(ValueError, match=r"^positive: it holds text of shape \(1, 512, 4096\).*reads 64 channels"):
        stream(pack, student, vae, prompt="", positive=foreign)
    own = text(pack, student, WORDS)
    with pytest.raises(ValueError, match=r"^prompt: positive already says what the video shows"):
        stream(pack, student, vae, positive=own)
    by_node = stream(pack, student, vae, prompt="", positive=own).args[0]
    assert torch.equal(by_node, stream(pack, student, vae).args[0])


def test_tracks_in_the_conditioning_are_followed(pack: Pack, student: Any, vae: Any) -> None:
    positive = applied(pack, student, vae, motion=payload(13))[0]
    by_conditioning = stream(pack, student, vae, prompt="", positive=positive).args[0]
    assert torch.equal(by_conditioning, stream(pack, student, vae, motion=payload(13)).args[0])
    assert not torch.equal(by_conditioning, stream(pack, student, vae).args[0])


def test_torch_compile_nodes_see_every_pass_of_a_stream(pack: Pack, student: Any, vae: Any) -> None:
    """Such a node puts a wrapper around apply_model that exchanges the network for the time of a call."""
    seen: list[Any] = []

    def wrapper(executor: Any, *args: Any, **given: Any) -> Any:
        seen.append(executor.class_obj)
        return executor(*args, **given)

    plain = stream(pack, student, vae).args[0]
    student.wrappers = {"apply_model": {"torch.compile": [wrapper], "another": [lambda *_: pytest.fail("called")]}}
    try:
        assert torch.equal(stream(pack, student, vae).args[0], plain)
    finally:
        student.wrappers = {}
    # the image's chunk only goes to the cache; the next one takes three steps and then goes there too
    assert seen == [student.model] * 5


def saved_files(host: Any) -> dict[str, int]:
    """Names and numbers of frames of the videos that a test saved."""
    found = {}
    for path in sorted((host.models_dir / "output").rglob("*.mp4*")):
        with av.open(str(path)) as container:
            found[path.name] = sum(1 for _ in container.decode(video=0))
    return found


@pytest.fixture
def saving(host: Any) -> Any:
    for path in (host.models_dir / "output").rglob("*.mp4*"):
        path.unlink()
    return host


def test_a_stream_is_saved_while_it_runs(pack: Pack, student: Any, vae: Any, saving: Any) -> None:
    out = stream(pack, student, vae, save_as="here/clip")
    assert saved_files(saving) == {"clip_00001_.mp4": 13}
    assert b"trainedAlgorithmicMedia" in Path(out.args[4]).read_bytes()
    assert out.ui["images"] == [{"filename": "clip_00001_.mp4", "subfolder": "here", "type": "output"}]


def test_a_stream_does_not_say_that_a_model_made_it_where_that_is_off(
    pack: Pack, student: Any, vae: Any, saving: Any
) -> None:
    out = stream(pack, student, vae, save_as="here/clip", content_credentials=False)
    assert b"trainedAlgorithmicMedia" not in Path(out.args[4]).read_bytes()


def test_a_name_of_a_stream_cannot_reach_another_file(
    pack: Pack, student: Any, vae: Any, saving: Any, tmp_path: Path
) -> None:
    """A muxer cuts a name at its NUL, and a link in the output folder leads where it likes."""
    output = saving.models_dir / "output"
    output.mkdir(exist_ok=True)
    (tmp_path / "clip.mp4").write_bytes(b"kept")
    link = output / "elsewhere"
    link.symlink_to(tmp_path)
    try:
        for name in (
            "../../clip",
            "clip.mp4\x00",
            "elsewhere/clip.mp4\x00x",
            "elsewhere/clip",
            "/clip",
            "C:/clip",
            "nul",
        ):
            with pytest.raises(ValueError, match=r"^save_as: the name "):
                stream(pack, student, vae, save_as=name)
        assert saved_files(saving) == {}
        assert [each.name for each in tmp_path.iterdir()] == ["clip.mp4"]
        assert (tmp_path / "clip.mp4").read_bytes() == b"kept"
    finally:
        link.unlink()


def cancel_at(pack: Pack, monkeypatch: pytest.MonkeyPatch, host: Any, num_calls: int) -> None:
    """Cancels at the n-th message of progress."""
    calls = iter(range(1, 1000))

    def update(*_: Any) -> None:
        host.interrupted = next(calls) == num_calls
        host.throw()

    monkeypatch.setattr(pack("nodes.host.preview").comfy.utils.ProgressBar, "update_absolute", update)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ({"length": 1 + 12 * 50}, "clip_00001_.partial.mp4"),
        ({"length": 0}, "clip_00001_.mp4"),  # as workflows say it that are older than the switch
        ({"length": 13, "endless": True}, "clip_00001_.mp4"),
    ],
)
def test_a_cancelled_stream_keeps_what_it_has(
    pack: Pack, student: Any, vae: Any, saving: Any, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any], name: str
) -> None:
    """Cancelled is how a stream without end ends: its file is whole. Any other is kept as a part."""
    cancel_at(pack, monkeypatch, saving, 10)
    kinds = []
    try:
        stream(pack, student, vae, **wanted, save_as="clip")
    except BaseException as error:
        kinds.append(type(error).__name__)
    assert kinds == ["Interrupt"]
    assert saved_files(saving) == {name: 25}
    assert student.running == 0


def test_fp8_is_kept_for_the_blocks_matrices_alone(pack: Pack, narrow: Any) -> None:
    checkpoints = pack("motionstream_core.checkpoints")
    loaded = checkpoints.LoadedModel(checkpoints.build_model(narrow), narrow)
    model = pack("nodes.host.network").host_model(loaded, "random", torch.bfloat16, fp8=True)
    kinds = {name: value.dtype for name, value in model.model.diffusion_model.named_parameters()}
    assert kinds["blocks.0.self_attn.q.weight"] == torch.float8_e4m3fn
    assert kinds["blocks.0.self_attn.norm_q.weight"] == kinds["blocks.0.modulation"] == torch.bfloat16
    assert kinds["patch_embedding.weight"] == kinds["head.head.weight"] == torch.bfloat16
    assert kinds["track_head.proj.weight"] == torch.float32
    assert (model.model.model_config.manual_cast_dtype, model.model.diffusion_model.dtype) == (
        torch.bfloat16,
        torch.float8_e4m3fn,
    )


def test_a_model_of_another_pack_is_refused(pack: Pack, vae: Any) -> None:
    class Foreign:
        model = torch.nn.Linear(1, 1)

    with pytest.raises(ValueError, match=r"^model: this is a Linear, which is not of this pack"):
        stream(pack, Foreign(), vae)


def test_a_checkpoint_whose_image_is_carried_is_sent_to_the_streams(pack: Pack, narrow: Any, vae: Any) -> None:
    """Core's samplers know no chunks: neither our node nor core's image conditioning is taken as if they did."""
    model = model_of(pack, replace(narrow, role="student", image_rule="carried", image_skip=0.4))
    with pytest.raises(ValueError, match=r"^model: .*as the tracks drag it.*MotionStream Student Streamer"):
        applied(pack, model, vae)
    tokens = text(pack, model, WORDS)
    tokens[0][1]["concat_latent_image"] = torch.zeros(1, 16, 3, SIDE // 8, SIDE // 8)
    with pytest.raises(ValueError, match="as the tracks drag it"):
        conditions(model, tokens)
