"""The nodes' own work, called without a host: what they refuse and in which words, what comes out, what is freed."""

from __future__ import annotations

import dataclasses
import gc
import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

Pack = Callable[[str], Any]
WORDS = "a red circle , still air"
SIDE = 32


@pytest.fixture(scope="module")
def parts(pack: Pack) -> tuple[Any, Any]:
    """A student and a VAE of the bundled kind, with random weights."""
    torch.manual_seed(0)
    model = model_of(pack, pack("motionstream_core.training.recipes.bundled_specs").STUDENT_SPEC, "random")
    vae = pack("motionstream_core.models.vae.tiny_vae").TinyVae(
        pack("motionstream_core.training.stages.tiny_vae.stage").BUNDLED_VAE
    )
    return model, pack("nodes.host.vae").StreamVae(vae.eval().requires_grad_(False), "random vae")


def model_of(pack: Pack, spec: Any, name: str) -> Any:
    """A MODEL with random weights."""
    checkpoints = pack("motionstream_core.checkpoints")
    loaded = checkpoints.LoadedModel(checkpoints.build_model(spec).eval().requires_grad_(False), spec)
    return pack("nodes.host.network").host_model(loaded, name, torch.float32)


@pytest.fixture(scope="module")
def teacher(pack: Pack) -> Any:
    """A teacher of the bundled kind, with random weights."""
    torch.manual_seed(1)
    return model_of(pack, pack("motionstream_core.training.recipes.bundled_specs").TEACHER_SPEC, "t")


def tracks_of(pack: Pack, num_frames: int = 13) -> dict[str, Any]:
    text = json.dumps([[{"x": 4 + i, "y": 16} for i in range(12)]])
    tracks = pack("nodes.tracks.create").MotionStreamTracksFromJSON.execute(
        text, width=SIDE, height=SIDE, length=num_frames, source_width=0, source_height=0, fit="crop"
    )
    return tracks.args[0]


def stream(pack: Pack, model: Any, vae: Any, **changes: Any) -> tuple[Any, ...]:
    inputs = {
        "image": torch.rand(1, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(1)),
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
    with torch.inference_mode():
        node = pack("nodes.streaming.streamer").MotionStreamStudentStreamer
        return node.execute(model=model, vae=vae, **{**inputs, **changes}).args


def test_the_streamer_gives_frames_latents_and_figures(pack: Pack, parts: tuple[Any, Any], host: Any) -> None:
    frames, latent, report, fps, file, video = stream(pack, *parts, motion=tracks_of(pack))
    assert file == ""
    assert torch.equal(video.images, frames)
    assert (video.frame_rate, video.audio) == (16, None)
    assert (frames.shape, frames.dtype, frames.device.type) == ((13, SIDE, SIDE, 3), torch.float32, "cpu")
    assert frames.isfinite().all()
    assert ((frames >= 0) & (frames <= 1)).all()
    assert latent["samples"].shape == (1, 16, 4, SIDE // 8, SIDE // 8)
    assert fps == 16.0
    for words in (
        "first generated frame after",
        "frames per second",
        "s per chunk",
        "peak memory",
        "13 frames of 32 x 32",
    ):
        assert words in report
    assert [value for value, _ in host.updates] == [3, 4, 5, 6, 6, 6]  # chunk 0 is the image: no steps, one end


def test_a_clip_in_one_piece_decodes_to_the_streamed_frames(pack: Pack, parts: tuple[Any, Any], host: Any) -> None:
    frames, latent, *_ = stream(pack, *parts)
    decoded = pack("nodes.sampling.teacher").MotionStreamDecode.execute(parts[1], latent).args[0]
    assert torch.allclose(decoded, frames, atol=1e-6)


def test_seed_and_motion_matter_and_the_rest_repeats(pack: Pack, parts: tuple[Any, Any], host: Any) -> None:
    motion = tracks_of(pack)
    first = stream(pack, *parts, motion=motion)[0]
    assert torch.equal(first, stream(pack, *parts, motion=motion)[0])
    assert not torch.equal(first, stream(pack, *parts, motion=motion, seed=6)[0])
    assert not torch.equal(first, stream(pack, *parts)[0])


def test_a_carried_picture_is_the_first_guess_in_the_host_as_in_the_core(pack: Pack, host: Any) -> None:
    """A network that is silent shows the picture as the tracks drag it, through the nodes as well."""
    spec = pack("motionstream_core.training.recipes.bundled_specs").STUDENT_SPEC
    spec = dataclasses.replace(spec, image_rule="carried", image_skip=0.4)
    checkpoints = pack("motionstream_core.checkpoints")
    network = checkpoints.build_model(spec).eval().requires_grad_(False)
    torch.nn.init.zeros_(network.head.head.weight)
    torch.nn.init.zeros_(network.head.head.bias)
    model = pack("nodes.host.network").host_model(checkpoints.LoadedModel(network, spec), "silent", torch.float32)
    hosted = pack("nodes.host.model").stream_model(model)
    latents = torch.randn(1, spec.backbone.in_channels, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    with pack("nodes.host.model").running(hosted) as loaded:
        context = loaded.model.prepare_context(torch.zeros(1, 1, spec.backbone.text_dim))
        velocity = loaded.model(latents, torch.tensor([1000.0]), context, None)
    clean = latents[:, : spec.backbone.out_channels] - velocity
    torch.testing.assert_close(clean, latents[:, spec.layout.span("image")], atol=1e-5, rtol=1e-5)


def test_two_nodes_of_a_model_stream_from_the_same_weights(
    pack: Pack, parts: tuple[Any, Any], host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = parts[0].model.diffusion_model
    forward, places = type(network).forward, [each.data_ptr() for each in network.parameters()]
    asked: list[tuple[Any, list[int]]] = []

    def noted(self: Any, *given: Any, **named: Any) -> Any:
        asked.append((self, [each.data_ptr() for each in self.parameters()]))
        return forward(self, *given, **named)

    monkeypatch.setattr(type(network), "forward", noted)
    for seed in (6, 7):
        stream(pack, *parts, seed=seed)
    assert len(asked) == 10 and all(own is network and there == places for own, there in asked)


def test_the_track_head_of_older_workflows_hands_tracks_on(pack: Pack, parts: tuple[Any, Any], host: Any) -> None:
    tracks, node = tracks_of(pack), pack("nodes.streaming.track_head").MotionStreamTrackHead
    motion = node.execute(parts[0], tracks, SIDE, SIDE).args[0]
    assert torch.equal(stream(pack, *parts, motion=motion)[0], stream(pack, *parts, motion=tracks)[0])
    bare = {key: tracks[key] for key in ("track_path", "track_visibility")}  # of a node that names no size
    half = node.execute(parts[0], {**bare, "track_path": bare["track_path"] / 2}, SIDE // 2, SIDE // 2).args[0]
    frames, _, report, *_ = stream(pack, *parts, motion=half)
    assert torch.equal(frames, stream(pack, *parts, motion=tracks)[0])
    assert "motion: made for 16 x 16 px, brought to 32 x 32 px (crop)" in report


def test_tracks_may_end_before_the_video(pack: Pack, parts: tuple[Any, Any], host: Any) -> None:
    assert len(stream(pack, *parts, motion=tracks_of(pack, 5), length=25)[0]) == 25


def test_an_interrupt_closes_the_stream_and_frees_the_cache(
    pack: Pack, parts: tuple[Any, Any], host: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, vae = parts
    caches: list[weakref.ref[Any]] = []
    network = model.model.diffusion_model
    make_cache = network.make_cache

    def noted(*given: Any, **named: Any) -> Any:
        cache = make_cache(*given, **named)
        caches.append(weakref.ref(cache))
        return cache

    def cancel_in_the_third_chunk(bar: Any, value: int, *_: Any) -> None:
        host.interrupted = value == 8
        host.throw()

    monkeypatch.setattr(network, "make_cache", noted)
    monkeypatch.setattr(
        pack("nodes.host.preview").comfy.utils.ProgressBar, "update_absolute", cancel_in_the_third_chunk
    )
    name = ""
    with caplog.at_level("INFO"):
        try:
            stream(pack, model, vae, length=1 + 12 * 200)
        except BaseException as error:
            name = type(error).__name__
    assert name == "Interrupt"
    assert "stream closed after 2 of 201 chunks" in caplog.text
    gc.collect()
    assert [cache() for cache in caches] == [None]
    assert model.running == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"save_as": "clips/x.avi"}, r"^save_as is 'clips/x.avi', but videos are written as .mp4, not as .avi"),
        ({"save_as": "x.WEBM"}, r"leave the extension out$"),
        ({"width": 100}, r"^width is 100 px.*nearest that fit: 96 or 112$"),
        ({"height": 8}, r"^height is 8 px.*nearest that fit: 16 or 32$"),
        ({"prompt": "a purple wombat"}, r"unknown words purple, wombat"),
        ({"sink_frames": 0, "window_frames": 0}, r"^sink_frames and window_frames are both 0"),
        ({"image": torch.rand(3, SIDE, SIDE, 3)}, r"^image holds 3 pictures"),
        (
            {"length": 1 + 12 * 80_000, "width": 4096, "height": 4096},
            r"out of memory; lower length, or width and height",
        ),
    ],
)
def test_what_the_streamer_refuses(
    pack: Pack, parts: tuple[Any, Any], host: Any, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises((ValueError, RuntimeError), match=words):
        stream(pack, *parts, **changes)


@pytest.mark.parametrize(
    ("wanted", "made", "words"),
    [
        ({"length": 13}, 13, "length: 13 frames, 0.81 s at 16 frames per second\n"),
        ({"length": 20}, 25, "25 frames, 1.56 s at 16 frames per second: the nearest to 20 frames that random makes"),
        ({"length": 18}, 13, "the nearest to 18 frames that random makes (1 + 12 * k)"),
        ({"length": 2}, 13, "the nearest to 2 frames"),
        ({"length": 1}, 1, "length: 1 frame, "),
        ({"length": 999, "seconds": 1.5, "endless": False}, 25, "the nearest to 1.5 s that random makes (1 + 12 * k)"),
    ],
)
def test_a_length_goes_to_the_nearest_that_the_checkpoint_makes(
    pack: Pack, parts: tuple[Any, Any], wanted: dict[str, Any], made: int, words: str
) -> None:
    frames, _, report, *_ = stream(pack, *parts, **wanted)
    assert len(frames) == made
    assert words in f"{report}\n"


def test_no_length_is_no_stream_without_end_where_the_switch_is_off(pack: Pack, parts: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"^length is 0: give a number of frames or seconds, or turn endless on"):
        stream(pack, *parts, length=0, endless=False)


def test_what_goes_beyond_the_training_is_remarked(pack: Pack, parts: tuple[Any, Any]) -> None:
    report = stream(pack, *parts, steps=4, window_frames=99)[2]
    assert "steps is 4, but random was distilled for 3 (1000, 667, 333)" in report
    assert f"window_frames is 99, but random was trained with {parts[0].model.spec.window_frames}" in report
    assert "but random" not in stream(pack, *parts, steps=2)[2]


def test_a_saved_stream_has_the_extension_once(pack: Pack, parts: tuple[Any, Any]) -> None:
    prefix = pack("nodes.streaming.output").file_prefix
    assert [prefix(name) for name in ("a/clip", "a/clip.mp4", "clip.MP4", "v1.2", " ")] == [
        "a/clip",
        "a/clip",
        "clip",
        "v1.2",
        "",
    ]


def test_a_teacher_is_sent_to_its_own_node(pack: Pack, parts: tuple[Any, Any], teacher: Any) -> None:
    with pytest.raises(ValueError, match=r"^model: t is a teacher.*use the MotionStream Teacher Sampler"):
        stream(pack, teacher, parts[1])


def test_a_vae_of_another_kind_is_refused(pack: Pack, parts: tuple[Any, Any]) -> None:
    tiny_vae = pack("motionstream_core.models.vae.tiny_vae")
    other = pack("nodes.host.vae").StreamVae(tiny_vae.TinyVae(tiny_vae.TAEW2_2), "taew2_2")
    with pytest.raises(ValueError, match=r"^vae: taew2_2 makes 48 channels at stride 4 x 16"):
        stream(pack, parts[0], other)


def test_steps_are_spread_evenly(pack: Pack, parts: tuple[Any, Any]) -> None:
    settings, spec = pack("nodes.streaming.streamer").stream_settings, parts[0].model.spec
    assert settings(spec, 0, -1, -1, -1).step_list == spec.step_list
    assert settings(spec, 0, -1, -1, 3).step_list == spec.step_list
    assert settings(spec, 0, -1, -1, 4).step_list == (1000, 750, 500, 250)
    assert (settings(spec, 0, 2, 0, 1).sink_frames, settings(spec, 0, 2, 0, 1).window_frames) == (2, 0)


def teacher_inputs(pack: Pack, vae: Any, teacher: Any, **changes: Any) -> dict[str, Any]:
    """Of nine frames in three steps."""
    return {
        "model": teacher,
        "vae": vae,
        "image": torch.rand(1, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0)),
        "prompt": WORDS,
        "width": SIDE,
        "height": SIDE,
        "length": 9,
        "fit": "crop",
        "steps": 3,
        "sampler": "euler",
        "text_weight": 1.5,
        "motion_weight": 1.5,
        "seed": 0,
        "motion": tracks_of(pack, 9),
        **changes,
    }


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_the_teacher_samples_a_clip(pack: Pack, parts: tuple[Any, Any], teacher: Any, host: Any, sampler: str) -> None:
    _, vae = parts
    host.client_id = "browser"
    inputs = teacher_inputs(pack, vae, teacher, sampler=sampler)
    with torch.inference_mode():
        latent, fps, frames, video = pack("nodes.sampling.teacher").MotionStreamTeacherSampler.execute(**inputs).args
    assert latent["samples"].shape == (1, 16, 3, 4, 4)
    assert latent["samples"].isfinite().all()
    assert fps == 16.0
    assert [value for value, _ in host.updates] == [1, 2, 3, 3, 3, 3]  # three steps, three latent frames decoded
    decoded = pack("nodes.sampling.teacher").MotionStreamDecode.execute(vae, latent, fps=24.0).args
    assert torch.equal(frames, decoded[0]) and len(frames) == 9
    assert torch.equal(video.images, frames) and torch.equal(decoded[1].images, frames)
    assert (video.frame_rate, decoded[1].frame_rate) == (16, 24)
    assert any(picture is not None for _, picture in host.updates)


def test_the_teacher_leaves_decoding_to_another_node(
    pack: Pack, parts: tuple[Any, Any], teacher: Any, host: Any
) -> None:
    """The same latents, three steps and no decoding; what is linked to frames or video is told why it does not run."""
    _, vae = parts
    node = pack("nodes.sampling.teacher").MotionStreamTeacherSampler
    with torch.inference_mode():
        decoded = node.execute(**teacher_inputs(pack, vae, teacher)).args[0]
        host.updates.clear()
        latent, fps, frames, video = node.execute(**teacher_inputs(pack, vae, teacher, decode=False)).args
    assert torch.equal(latent["samples"], decoded["samples"])
    assert fps == 16.0
    assert [value for value, _ in host.updates] == [1, 2, 3, 3]  # the steps and their end, and no latent frame
    assert all("decode is off at MotionStream Teacher Sampler" in blocked.message for blocked in (frames, video))


def test_json_is_read_rescaled_and_written_again(pack: Pack) -> None:
    node = pack("nodes.tracks.create").MotionStreamTracksFromJSON
    payload, text = node.execute(
        "[[{'x': 100, 'y': 100}, {'x': 300, 'y': 100}]]",
        width=64,
        height=64,
        length=3,
        source_width=400,
        source_height=200,
        fit="crop",
    ).args
    assert payload["track_path"][:, 0].tolist() == [[0.0, 32.0], [32.0, 32.0], [64.0, 32.0]]
    assert payload["track_visibility"].tolist() == [[True]] * 3
    assert json.loads(text) == [
        [{"x": 0.0, "y": 32.0, "v": 1}, {"x": 32.0, "y": 32.0, "v": 1}, {"x": 64.0, "y": 32.0, "v": 1}]
    ]


def test_malformed_json_names_the_place(pack: Pack) -> None:
    node = pack("nodes.tracks.create").MotionStreamTracksFromJSON
    with pytest.raises(ValueError, match=r"^coordinates: track 1, sample 0: field 'y' is missing"):
        node.execute('[[{"x":1,"y":2}],[{"x":1}]]', 64, 64, 5, 0, 0, "crop")


def test_a_track_head_has_no_rule_of_its_own_for_lengths(pack: Pack, parts: tuple[Any, Any]) -> None:
    """The sampler makes the length that its checkpoint can, whatever that of the tracks is."""
    payload = pack("nodes.tracks.create").MotionStreamPointGrid.execute(2, 3, SIDE, SIDE, 50).args[0]
    motion = pack("nodes.streaming.track_head").MotionStreamTrackHead.execute(parts[0], payload, SIDE, SIDE).args[0]
    assert motion.tracks.num_frames == 50


def test_one_image_is_drawn_on_for_every_sample(pack: Pack) -> None:
    payload = pack("nodes.tracks.create").MotionStreamPointGrid.execute(2, 3, SIDE, SIDE, 4).args[0]
    node = pack("nodes.tracks.draw").MotionStreamDrawTracks
    drawn = node.execute(torch.zeros(1, SIDE, SIDE, 3), payload, 3, 0.0, 0, 0).args[0]
    assert drawn.shape == (4, SIDE, SIDE, 3)
    assert drawn.amax() > 0.5


def test_decode_refuses_a_batch(pack: Pack, parts: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"^samples: it holds 2 clips"):
        pack("nodes.sampling.teacher").MotionStreamDecode.execute(parts[1], {"samples": torch.zeros(2, 16, 3, 4, 4)})


def test_a_missing_file_says_where_it_belongs(pack: Pack) -> None:
    loaders = pack("nodes.loaders")
    problem = loaders.MotionStreamLoadModel.validate_inputs("wan14b.safetensors")
    assert "'wan14b.safetensors' is not in models/motionstream" in problem
    assert "docs/models.md" in problem
    assert "models/vae_approx" in loaders.MotionStreamLoadTinyVAE.validate_inputs("taew2_1.safetensors")
    assert loaders.MotionStreamLoadModel.validate_inputs(None) is True


def test_a_motion_model_and_a_plain_one_are_told_apart_by_family(pack: Pack, tmp_path: Any) -> None:
    """Self-Forcing's file has Wan's tensors: only `family` makes it the student that it is."""
    load = pack("motionstream_core.checkpoints").load_model
    families = pack("motionstream_core.checkpoints").FAMILIES
    spec = next(each.spec for each in families if each.key == "self_forcing")
    narrow = replace(spec, backbone=replace(spec.backbone, dim=128, ffn_dim=64, num_heads=1, num_layers=1, text_dim=16))
    model = pack("motionstream_core.checkpoints").build_model(narrow)
    from safetensors.torch import save_file

    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, tmp_path / "some.safetensors")
    assert load(tmp_path / "some.safetensors").spec.role == "teacher"
    assert load(tmp_path / "some.safetensors", family="self_forcing").spec.role == "student"


def test_every_node_has_a_page(pack: Pack) -> None:
    pages = {path.stem for path in (Path(__file__).parents[2] / "js" / "docs").glob("*.md")}
    assert pages == {node.define_schema().node_id for node in pack("nodes").NODES}


def test_no_input_and_output_of_a_node_have_one_id(pack: Pack) -> None:
    """Hosts of October 2025 refuse the whole pack for one such node; a display_name may be the same."""
    for node in pack("nodes").NODES:
        schema = node.define_schema()
        ids = [each.id for each in (*schema.inputs, *schema.outputs)]
        assert len(set(ids)) == len(ids), schema.node_id
