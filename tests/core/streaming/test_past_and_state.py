"""A stream that goes on from latents, from a clip or from a file: against the one that was never cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from motionstream_core.checkpoints import LoadedModel
from motionstream_core.checkpoints.fingerprint import fingerprint
from motionstream_core.geometry import ChunkPlan
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, TrackSource, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.image_source import CarriedImage, ClipThenCarried, StillImage
from motionstream_core.streaming.past import TracksAfter, encoded_past, followed_back, past_frames
from motionstream_core.streaming.state import StreamState, resumable_stream
from motionstream_core.streaming.state_file import HEADER, Maker, StateFileError, read_state, write_state
from motionstream_core.streaming.stream import StreamedChunk, StreamSettings, named, stream_chunks
from motionstream_core.tracks import Tracks

MakeModel = Callable[..., LoadedModel]
HEIGHT, WIDTH = 32, 48
COUNT, CUT = 16, 10  # latent frames: 1 + 5 * 3, cut after 1 + 3 * 3
RULES = ["first_latent", "carried"]
CPU = torch.device("cpu")


def image() -> Tensor:
    return torch.rand(1, 3, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3))


def tracks(num_frames: int = 61) -> Tracks:
    generator = torch.Generator().manual_seed(4)
    start = torch.rand(1, 6, 2, generator=generator) * torch.tensor([WIDTH, HEIGHT])
    points = (start + torch.randn(num_frames, 6, 2, generator=generator).cumsum(0)).float()
    return Tracks(points, torch.ones(num_frames, 6, dtype=torch.bool), HEIGHT, WIDTH)


def conditions_of(loaded: LoadedModel, vae: TinyVae, given: TrackSource | None = None) -> StreamConditions:
    context = encode_prompt(loaded.model, loaded.spec, "a red circle")
    source = KnownTracks(tracks()) if given is None else given
    return StreamConditions(loaded.model, loaded.spec, context, source, image=image(), vae=vae)


def going_on(loaded: LoadedModel, state: StreamState, given: Tracks | None) -> StreamConditions:
    num_past = loaded.spec.vae_stride.num_frames(loaded.spec.chunk_plan.chunk(state.chunk).start)
    rest = given or Tracks.empty(1, HEIGHT, WIDTH)
    context = encode_prompt(loaded.model, loaded.spec, "a red circle")
    source = TracksAfter(num_past, KnownTracks(rest))
    return StreamConditions(
        loaded.model, loaded.spec, context, source, source=state.source_copy(), frame_size=(HEIGHT, WIDTH)
    )


def uninterrupted(loaded: LoadedModel, vae: TinyVae) -> list[StreamedChunk]:
    return list(
        stream_chunks(
            loaded,
            conditions_of(loaded, vae),
            TinyStreamingDecoder(vae),
            num_latent_frames=COUNT,
            settings=StreamSettings(seed=5),
        )
    )


def kept(
    loaded: LoadedModel, vae: TinyVae, conditions: StreamConditions | None = None, count: int | None = CUT, **how: Any
) -> tuple[list[StreamedChunk], list[StreamState]]:
    left: list[StreamState] = []
    chunks = resumable_stream(
        loaded,
        conditions or conditions_of(loaded, vae),
        TinyStreamingDecoder(vae),
        num_latent_frames=count,
        settings=named(StreamSettings(seed=5), loaded),
        keep=left.append,
        **how,
    )
    return list(chunks), left


def maker(loaded: LoadedModel, name: str = "one") -> Maker:
    return Maker(name, loaded.spec.to_json(), fingerprint(loaded.model.state_dict()))


def assert_the_same(made: list[StreamedChunk], whole: list[StreamedChunk]) -> None:
    assert len(made) == len(whole)
    for one, other in zip(made, whole, strict=True):
        assert one.chunk == other.chunk
        assert torch.equal(one.latents, other.latents)
        torch.testing.assert_close(one.frames, other.frames, rtol=0, atol=1e-5)


# --- own latents


@pytest.mark.parametrize("plan", [ChunkPlan(3, 1), ChunkPlan(3, 3)], ids=["1+3k", "3k"])
@pytest.mark.parametrize("rule", RULES)
def test_a_stream_that_is_given_its_own_latents_is_the_one_that_was_never_cut(
    make_model: MakeModel, vae: TinyVae, rule: str, plan: ChunkPlan
) -> None:
    loaded = make_model(image_rule=rule, chunk_plan=plan)
    whole = list(
        stream_chunks(
            loaded, conditions_of(loaded, vae), TinyStreamingDecoder(vae), num_latent_frames=plan.chunk(5).stop
        )
    )
    latents = torch.cat([each.latents for each in whole[:3]], dim=2)
    on = stream_chunks(
        loaded,
        conditions_of(loaded, vae),
        TinyStreamingDecoder(vae),
        num_latent_frames=plan.chunk(5).stop,
        given=latents,
    )
    assert_the_same(list(on), whole[3:])


def test_what_is_given_decides(make_model: MakeModel, vae: TinyVae) -> None:
    loaded = make_model()
    whole = uninterrupted(loaded, vae)
    latents = torch.cat([each.latents for each in whole[:3]], dim=2)
    on = stream_chunks(
        loaded,
        conditions_of(loaded, vae),
        TinyStreamingDecoder(vae),
        num_latent_frames=COUNT,
        settings=StreamSettings(seed=5),
        given=latents.flip(2),
    )
    assert (next(on).latents - whole[3].latents).abs().max() > 0.01


def test_given_latents_that_fill_no_chunks_are_refused(make_model: MakeModel, vae: TinyVae) -> None:
    loaded = make_model()
    latents = torch.zeros(1, 4, 5, HEIGHT // 8, WIDTH // 8)
    chunks = stream_chunks(
        loaded, conditions_of(loaded, vae), TinyStreamingDecoder(vae), num_latent_frames=COUNT, given=latents
    )
    with pytest.raises(ValueError, match=r"5 latent frames do not fill chunks.*nearest that fit: 4 or 7"):
        next(chunks)


# --- a clip


@pytest.mark.parametrize(("num_frames", "used"), [(1, 1), (12, 1), (13, 13), (20, 13), (24, 13), (25, 13), (300, 13)])
def test_of_a_clip_the_last_frames_are_used_that_fill_sink_and_window(
    make_model: MakeModel, num_frames: int, used: int
) -> None:
    """Sink 1 and window 3 latent frames: 1 + 3, which are 1 + 12 frames."""
    assert past_frames(replace(make_model().spec, sink_frames=1, window_frames=3), num_frames) == used


def test_a_clip_that_is_shorter_than_a_chunk_is_refused(make_model: MakeModel) -> None:
    spec = replace(make_model().spec, chunk_plan=ChunkPlan(3, 3), sink_frames=3, window_frames=3)
    assert past_frames(spec, 9) == 9 and past_frames(spec, 20) == 9 and past_frames(spec, 99) == 21
    with pytest.raises(ValueError, match=r"it has 8 frames.*9 \+ 12 \* k frames.*give at least 9"):
        past_frames(spec, 8)


def test_a_clip_is_encoded_from_its_end_and_its_first_used_frame_is_the_image(
    make_model: MakeModel, vae: TinyVae
) -> None:
    spec = replace(make_model().spec, sink_frames=1, window_frames=3)
    frames = torch.rand(1, 3, 20, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    past = encoded_past(spec, vae, frames, tracks(13))
    assert torch.equal(past.latents, vae.encode(frames[:, :, 7:]))
    assert isinstance(past.source, StillImage)
    assert torch.equal(past.source.latents[:, :, :1], vae.encode(frames[:, :, 7:8]))


def test_a_carried_picture_is_the_clips_last_frame_and_points_hold_it_where_they_begin(
    make_model: MakeModel, vae: TinyVae
) -> None:
    spec = replace(make_model(image_rule="carried").spec, sink_frames=1, window_frames=3)
    frames = torch.rand(1, 3, 13, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    past = encoded_past(spec, vae, frames, tracks(13))
    source = past.source
    assert isinstance(source, ClipThenCarried)
    given = KnownTracks(tracks(13))
    after, picture = TracksAfter(13, given), CarriedImage(vae, spec.vae_stride, frames[0, :, -1])
    for begin, stop in ((0, 1), (1, 4)):
        slot = source.at_latents(begin, stop, after.at_frames(*spec.vae_stride.frame_span(begin, stop)))
        assert torch.equal(slot.latents, past.latents[:, :, begin:stop]) and slot.moved is None
        still = picture.at_latents(begin, stop, given.at_frames(*spec.vae_stride.frame_span(begin, stop)))
    went_on = source.at_latents(4, 7, after.at_frames(13, 25))
    assert torch.equal(went_on.latents, still.latents)  # as a stream from that frame alone would be given
    assert went_on.moved is not None and still.moved is not None
    assert torch.equal(went_on.moved, still.moved) and went_on.moved.any()


def test_tracks_after_a_clip_begin_in_its_last_frame() -> None:
    points = torch.arange(4.0)[:, None, None].expand(4, 1, 2) + 10
    given = Tracks(points, torch.ones(4, 1, dtype=torch.bool), HEIGHT, WIDTH, torch.tensor([7]))
    after = TracksAfter(13, KnownTracks(given))
    assert not after.at_frames(0, 1).visibility.any()
    last = after.at_frames(1, 13)
    assert last.visibility[:, 0].tolist() == [False] * 11 + [True]
    assert last.points[-1, 0].tolist() == [10, 10] and last.ids.tolist() == [7]
    new = after.at_frames(13, 25)
    assert new.points[:3, 0, 0].tolist() == [11, 12, 13]
    assert new.visibility[:, 0].tolist() == [True] * 3 + [False] * 9


def test_points_are_followed_back_through_the_clip() -> None:
    """A textured square goes 2 px a frame to the right over a plain ground."""
    rng = np.random.default_rng(0)
    frames = np.full((13, 64, 96, 3), 0.5, np.float32)
    square = rng.random((20, 20, 3)).astype(np.float32)
    for number in range(13):
        frames[number, 20:40, 10 + 2 * number : 30 + 2 * number] = square
    begun = Tracks(torch.tensor([[[44.0, 30.0], [200.0, 5.0]]]), torch.ones(1, 2, dtype=torch.bool), 64, 96)
    before = followed_back(torch.from_numpy(frames).permute(3, 0, 1, 2)[None], begun)
    assert before.num_frames == 13 and before.visibility[:, 0].all()
    expected = 44.0 - 2 * torch.arange(12, -1, -1.0)
    assert (before.points[:, 0, 0] - expected).abs().max() < 1.0
    assert before.visibility[:, 1].tolist() == [False] * 12 + [True]  # not in the picture: it cannot be followed


# --- a saved stream


@pytest.mark.parametrize("rule", RULES)
def test_a_stream_taken_up_from_a_file_is_the_one_that_was_never_cut(
    make_model: MakeModel, vae: TinyVae, tmp_path: Path, rule: str
) -> None:
    loaded = make_model(image_rule=rule)
    whole = uninterrupted(loaded, vae)
    made, (state,) = kept(loaded, vae)
    assert_the_same(made, whole[:4])
    write_state(tmp_path / "one.safetensors", state, maker(loaded))
    read = read_state(tmp_path / "one.safetensors", maker(loaded), vae, CPU)
    assert read.settings.seed == 5 and read.size == (HEIGHT, WIDTH) and read.tracks is not None
    assert torch.equal(read.tracks.points, tracks().points[36:])
    rest, (last,) = kept(loaded, vae, going_on(loaded, read, read.tracks), COUNT, state=read)
    assert_the_same(rest, whole[4:])
    assert last.chunk == 6 and last.latents.shape[2] == COUNT
    again, _ = kept(loaded, vae, going_on(loaded, read, read.tracks), COUNT, state=read)  # it is not used up
    assert_the_same(again, whole[4:])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("how", ["closed", "interrupted within a chunk"])
def test_a_stream_that_is_broken_off_leaves_what_was_yielded(
    make_model: MakeModel, vae: TinyVae, rule: str, how: str
) -> None:
    loaded = make_model(image_rule=rule)
    whole, left = uninterrupted(loaded, vae), list[StreamState]()

    def callback(chunk: Any, step: int, num_steps: int) -> None:
        if how != "closed" and (chunk.index, step) == (4, 1):
            raise KeyboardInterrupt

    chunks = resumable_stream(
        loaded,
        conditions_of(loaded, vae),
        TinyStreamingDecoder(vae),
        num_latent_frames=None,
        settings=named(StreamSettings(seed=5), loaded),
        keep=left.append,
        callback=callback,
    )
    assert_the_same([next(chunks) for _ in range(4)], whole[:4])
    if how == "closed":
        chunks.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            next(chunks)
    (state,) = left
    rest, _ = kept(loaded, vae, going_on(loaded, state, state.tracks), COUNT, state=state)
    assert_the_same(rest, whole[4:])


def test_a_stream_that_went_on_from_a_clip_can_be_saved_too(
    make_model: MakeModel, vae: TinyVae, tmp_path: Path
) -> None:
    loaded = make_model(image_rule="carried")
    past = encoded_past(loaded.spec, vae, torch.rand(1, 3, 13, HEIGHT, WIDTH), tracks(40))
    context = encode_prompt(loaded.model, loaded.spec, "a red circle")

    def conditions() -> StreamConditions:
        assert past.source is not None
        frame_size = (HEIGHT, WIDTH)
        return StreamConditions(
            loaded.model, loaded.spec, context, past.tracks, source=past.source.copy(), frame_size=frame_size
        )

    whole, _ = kept(loaded, vae, conditions(), COUNT, given=past.latents)
    _, (state,) = kept(loaded, vae, conditions(), CUT, given=past.latents)
    write_state(tmp_path / "clip.safetensors", state, maker(loaded))
    read = read_state(tmp_path / "clip.safetensors", maker(loaded), vae, CPU)
    rest, _ = kept(loaded, vae, going_on(loaded, read, read.tracks), COUNT, state=read)
    assert_the_same(rest, whole[-len(rest) :])


def test_a_state_holds_no_more_latents_than_a_decoder_needs(make_model: MakeModel, vae: TinyVae) -> None:
    """And those are enough: the frames are those of a decoder that has seen all."""
    loaded = make_model()
    settings = StreamSettings(seed=5)
    whole = list(
        stream_chunks(
            loaded, conditions_of(loaded, vae), TinyStreamingDecoder(vae), num_latent_frames=34, settings=settings
        )
    )
    _, (state,) = kept(loaded, vae, count=31)
    assert state.latents.shape[2] == 24
    rest, _ = kept(loaded, vae, going_on(loaded, state, state.tracks), 34, state=state)
    assert_the_same(rest, whole[11:])


def test_tracks_that_go_on_keep_their_ids_and_new_ones_get_others(make_model: MakeModel, vae: TinyVae) -> None:
    loaded = make_model()
    _, (state,) = kept(loaded, vae)
    own = tracks().slice(36, 61)
    assert torch.equal(state.taken_up(own).ids, own.ids)
    points = own.points.clone()
    points[:, 1] += 3.0
    taken = state.taken_up(replace(own, points=points))
    assert taken.ids[[0, 2, 3, 4, 5]].tolist() == own.ids[[0, 2, 3, 4, 5]].tolist()
    assert taken.ids[1] not in own.ids


def test_a_length_that_fills_no_chunks_is_refused_before_anything_is_made(make_model: MakeModel, vae: TinyVae) -> None:
    with pytest.raises(ValueError, match="6 latent frames do not fill chunks"):
        kept(make_model(), vae, count=6)


def test_another_sink_or_window_is_refused(make_model: MakeModel, vae: TinyVae) -> None:
    loaded = make_model()
    _, (state,) = kept(loaded, vae)
    settings = named(StreamSettings(seed=5, window_frames=5), loaded)
    chunks = resumable_stream(
        loaded,
        going_on(loaded, state, None),
        TinyStreamingDecoder(vae),
        num_latent_frames=COUNT,
        settings=settings,
        keep=lambda state: None,
        state=state,
    )
    with pytest.raises(ValueError, match="window_frames is 5, but the saved stream remembers"):
        next(chunks)


@pytest.fixture
def saved(make_model: MakeModel, vae: TinyVae, tmp_path: Path) -> tuple[Path, LoadedModel]:
    loaded = make_model(image_rule="carried")
    _, (state,) = kept(loaded, vae)
    write_state(tmp_path / "one.safetensors", state, maker(loaded))
    return tmp_path / "one.safetensors", loaded


def test_another_model_is_refused_in_words(saved: tuple[Path, LoadedModel], vae: TinyVae) -> None:
    path, loaded = saved
    other = Maker("other", loaded.spec.to_json(), "0" * 32)
    with pytest.raises(StateFileError, match=r"one\.safetensors: .* made by one, and the weights of other are others"):
        read_state(path, other, vae, CPU)
    chunks = Maker("one", loaded.spec.with_chunks(2).to_json(), fingerprint(loaded.model.state_dict()))
    with pytest.raises(StateFileError, match="made by one with other chunks"):
        read_state(path, chunks, vae, CPU)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_refused(saved: tuple[Path, LoadedModel], vae: TinyVae, share: float) -> None:
    path, loaded = saved
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(StateFileError, match="no saved stream, or one that was cut off"):
        read_state(path, maker(loaded), vae, CPU)


def test_another_file_and_another_version_are_refused(
    saved: tuple[Path, LoadedModel], vae: TinyVae, tmp_path: Path
) -> None:
    path, loaded = saved
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(StateFileError, match=r"other\.safetensors: this file holds something else"):
        read_state(tmp_path / "other.safetensors", maker(loaded), vae, CPU)
    _rewritten(path, lambda header, tensors: header.update(version=9))
    with pytest.raises(StateFileError, match="version 9, and this release reads version 4"):
        read_state(path, maker(loaded), vae, CPU)


@pytest.mark.parametrize(
    "change",
    [
        lambda header, tensors: header.update(chunk=3),
        lambda header, tensors: header.update(size=[64, 48]),
        lambda header, tensors: header.pop("settings"),
        lambda header, tensors: header.update(picture=header["picture"].replace("[", '["a", ')),
        lambda header, tensors: tensors.pop("cache.1"),
        lambda header, tensors: tensors.update({"cache.0": tensors["cache.0"][:, :, 1:]}),
        lambda header, tensors: tensors["latents"].fill_(float("nan")),
        lambda header, tensors: tensors.pop("told"),
        lambda header, tensors: tensors.update(told=tensors["told"][:, :, 1:]),
        lambda header, tensors: tensors["told"].fill_(float("nan")),
        lambda header, tensors: tensors.pop("source.picture._anchors"),
        lambda header, tensors: tensors.update({"source.first": torch.zeros(3, 8, 8)}),
        lambda header, tensors: tensors.update({"source.picture._pieces": torch.zeros(3, 8, dtype=torch.uint8)}),
        lambda header, tensors: tensors.update(
            {"source.picture._pieces_shown": tensors["source.picture._pieces_shown"].float()}
        ),
    ],
    ids=[
        "chunk",
        "size",
        "settings",
        "ids",
        "no values",
        "a token less",
        "NaN",
        "not told",
        "told less",
        "told NaN",
        "no anchors",
        "picture",
        "pieces",
        "parts of pieces",
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    saved: tuple[Path, LoadedModel], vae: TinyVae, change: Callable[[dict[str, Any], dict[str, Tensor]], object]
) -> None:
    path, loaded = saved
    _rewritten(path, change)
    with pytest.raises(StateFileError, match=r"^one\.safetensors: this is no saved stream"):
        read_state(path, maker(loaded), vae, CPU)


def _rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], object]) -> None:
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[HEADER])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(header, tensors)
    save_file({name: each.contiguous() for name, each in tensors.items()}, path, {HEADER: json.dumps(header)})


def test_a_fingerprint_tells_weights_apart_and_not_their_precision(make_model: MakeModel) -> None:
    loaded = make_model()
    first = fingerprint(loaded.model.state_dict())
    assert first == fingerprint(make_model().model.state_dict())
    loaded.model.to(torch.bfloat16)
    assert first == fingerprint(loaded.model.state_dict())
    next(iter(loaded.model.parameters())).mul_(1.5)
    assert first != fingerprint(loaded.model.state_dict())
