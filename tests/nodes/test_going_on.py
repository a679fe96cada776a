"""The streamer goes on from frames, a VIDEO and a saved stream, and saves one."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.nodes.test_nodes import SIDE, model_of, stream, tracks_of

Pack = Callable[[str], Any]


@pytest.fixture(scope="module")
def parts(pack: Pack) -> tuple[Any, Any]:
    """A student and a VAE of the bundled kind, with random weights."""
    torch.manual_seed(0)
    model = model_of(pack, pack("motionstream_core.training.recipes.bundled_specs").STUDENT_SPEC, "random")
    vae = pack("motionstream_core.models.vae.tiny_vae").TinyVae(
        pack("motionstream_core.training.stages.tiny_vae.stage").BUNDLED_VAE
    )
    return model, pack("nodes.host.vae").StreamVae(vae.eval().requires_grad_(False), "random vae")


@pytest.fixture(autouse=True)
def folders(host: Any) -> None:
    for name in ("input", "output", "temp"):
        (host.models_dir / name).mkdir(parents=True, exist_ok=True)


def frames_of(count: int = 20) -> torch.Tensor:
    return torch.rand(count, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(2))


def loaded(pack: Pack, option: str) -> Any:
    return pack("nodes.streaming.saved").MotionStreamLoadStream.execute(option).args[0]


def streams(pack: Pack) -> list[str]:
    return pack("nodes.host.user_files").listed((".stream.safetensors",))


def saved_name(report: str) -> str:
    return next(line for line in report.splitlines() if line.startswith("saved stream: ")).split(": ", 1)[1]


def test_what_is_new_comes_out_and_length_counts_that(pack: Pack, parts: tuple[Any, Any], host: Any) -> None:
    frames, latent, report, *_ = stream(pack, *parts, image=None, go_on_from=frames_of(), length=25)
    assert frames.shape[0] == 24 and latent["samples"].shape[2] == 6
    assert "24 frames, 1.50 s at 16 frames per second: the nearest to 25 frames that random makes (12 * k)" in report
    assert "24 frames of 32 x 32 px in 2 chunks" in report
    assert [value for value, _ in host.updates] == [1, 2, 3, 3, 4, 5, 6, 6, 6]


def test_the_last_frames_decide_and_only_they(pack: Pack, parts: tuple[Any, Any], host: Any) -> None:
    given = frames_of()
    first = stream(pack, *parts, image=None, go_on_from=given)[0]
    assert torch.equal(first, stream(pack, *parts, image=None, go_on_from=given[7:])[0])  # the last 1 + 12
    assert not torch.equal(first, stream(pack, *parts, image=None, go_on_from=given[:-1])[0])
    moved = stream(pack, *parts, image=None, go_on_from=given, motion=tracks_of(pack))[0]
    assert not torch.equal(first, moved)


def test_a_video_of_another_rate_is_brought_to_the_models(pack: Pack, parts: tuple[Any, Any], host: Any) -> None:
    """At 32 frames a second every second frame counts, the last one among them."""
    given = (frames_of(41) * 255).round() / 255
    parts_of = types.SimpleNamespace(images=given, frame_rate=Fraction(32))
    video = types.SimpleNamespace(get_components=lambda: parts_of)
    from_video = stream(pack, *parts, image=None, go_on_from=video)[0]
    torch.testing.assert_close(
        from_video, stream(pack, *parts, image=None, go_on_from=given[::2])[0], rtol=0, atol=1e-4
    )


def test_a_saved_stream_goes_on_as_if_it_had_never_been_cut(pack: Pack, parts: tuple[Any, Any], host: Any) -> None:
    motion = tracks_of(pack, 37)
    whole = stream(pack, *parts, motion=motion, length=37)
    first = stream(pack, *parts, motion=motion, length=13, save_stream="shots/one")
    name = saved_name(first[2])
    assert name == "shots/one_00001.stream.safetensors [output]"
    assert streams(pack) == [name]
    rest = stream(pack, *parts, image=None, go_on_from=loaded(pack, name), length=24, width=0, height=0)
    torch.testing.assert_close(torch.cat([first[0], rest[0]]), whole[0], rtol=0, atol=1e-5)
    assert torch.equal(torch.cat([first[1]["samples"], rest[1]["samples"]], dim=2), whole[1]["samples"])
    given = motion | {key: motion[key][12:] for key in ("track_path", "track_visibility")}
    again = stream(pack, *parts, image=None, go_on_from=loaded(pack, name), length=24, motion=given)
    assert torch.equal(again[0], rest[0])
    other = stream(pack, *parts, image=None, go_on_from=loaded(pack, name), length=24, motion=tracks_of(pack))
    assert not torch.equal(other[0], rest[0])
    assert saved_name(stream(pack, *parts, save_stream="shots/one")[2]).startswith("shots/one_00002.")


def test_a_stream_that_is_cancelled_is_saved_up_to_there(
    pack: Pack, parts: tuple[Any, Any], host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stream(pack, *parts, length=61)

    def cancel(bar: Any, value: int, *_: Any) -> None:
        host.interrupted = value == 8  # within the third chunk
        host.throw()

    with monkeypatch.context() as patch, pytest.raises(BaseException) as raised:
        patch.setattr(pack("nodes.host.preview").comfy.utils.ProgressBar, "update_absolute", cancel)
        stream(pack, *parts, length=61, save_stream="cut")
    assert type(raised.value).__name__ == "Interrupt"
    host.interrupted = False
    (name,) = (each for each in streams(pack) if each.startswith("cut"))
    rest = stream(pack, *parts, image=None, go_on_from=loaded(pack, name), length=36)
    assert torch.equal(rest[1]["samples"], whole[1]["samples"][:, :, 4:13])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"go_on_from": frames_of()}, r"^image: go_on_from shows already"),
        ({"image": None, "go_on_from": frames_of()[0]}, r"^go_on_from: it has shape"),
        ({"image": None, "go_on_from": frames_of(), "width": 100}, r"^width is 100 px"),
        ({"save_stream": "../../out"}, r"^save_stream: "),
    ],
    ids=["image too", "one frame without a batch", "width", "outside"],
)
def test_what_is_refused(pack: Pack, parts: tuple[Any, Any], host: Any, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stream(pack, *parts, **changes)


def test_a_saved_stream_of_another_model_or_size_is_refused(pack: Pack, parts: tuple[Any, Any], host: Any) -> None:
    name = saved_name(stream(pack, *parts, save_stream="two")[2])
    torch.manual_seed(7)
    spec = pack("motionstream_core.training.recipes.bundled_specs").STUDENT_SPEC
    other = model_of(pack, spec, "another")
    with pytest.raises(ValueError, match=r"^go_on_from: two.*made by random, and the weights of another are others"):
        stream(pack, other, parts[1], image=None, go_on_from=loaded(pack, name))
    with pytest.raises(ValueError, match=r"^go_on_from: the saved stream is 32 px in width, not 64; set width to 0"):
        stream(pack, *parts, image=None, go_on_from=loaded(pack, name), width=64)
    with pytest.raises(ValueError, match=r"window_frames is 5, but the saved stream remembers 3"):
        stream(pack, *parts, image=None, go_on_from=loaded(pack, name), window_frames=5)


def test_only_names_that_were_found_are_read(pack: Pack, host: Any, tmp_path: Path) -> None:
    node = pack("nodes.streaming.saved").MotionStreamLoadStream
    outside = host.models_dir / "x.stream.safetensors"
    outside.write_bytes(b"")
    for name in ("../x.stream.safetensors", str(outside), "missing.stream.safetensors [output]"):
        assert re.search("file: the name|is not in", node.validate_inputs(name))
        with pytest.raises((ValueError, FileNotFoundError), match=r"file: the name|is not in"):
            node.execute(name)


def test_lora_is_another_model(pack: Pack, parts: tuple[Any, Any]) -> None:
    model = pack("nodes.host.model").stream_model(parts[0])
    plain = model.maker
    lora = types.SimpleNamespace(weights=(torch.ones(2, 2), torch.ones(2, 2), 1.0, None))
    try:
        makers = []
        for strength in (1.0, 0.5):
            parts[0].patches = {"blocks.0.ffn.0.weight": [(strength, lora, 1.0, None, None)]}
            makers.append(model.maker.weights)
    finally:
        del parts[0].patches
    assert len({plain.weights, *makers}) == 3
