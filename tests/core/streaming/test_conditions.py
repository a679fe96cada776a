"""Conditions of a chunk, of a stream, of a whole clip: made apart they are the same to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from motionstream_core.checkpoints import LoadedModel
from motionstream_core.geometry import ChunkPlan, VaeStride
from motionstream_core.models.conditioning import Conditions, InputLayout
from motionstream_core.models.track_head import TrackHeadConfig
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.streaming.image_source import CarriedImage, image_latents
from motionstream_core.tracks import Tracks
from motionstream_core.training.stages.tiny_vae.draft import with_draft

MakeModel = Callable[..., LoadedModel]
HEIGHT, WIDTH = 32, 48
TEXT_TO_VIDEO: dict[str, Any] = {
    "image_rule": "none",
    "pin_first_latent": False,
    "layout": InputLayout((("noise", 4), ("track", 4))),
}
WAN_2_2_5B: dict[str, Any] = {
    "image_rule": "first_latent",
    "pin_first_latent": True,
    "layout": InputLayout((("noise", 4), ("track", 4))),
}
CARRIED: dict[str, Any] = {"image_rule": "carried", "image_skip": 0.4}


def with_channels(changes: dict[str, Any], make_model: MakeModel) -> LoadedModel:
    """A model whose backbone takes the channels of the changed layout."""
    backbone = make_model().spec.backbone
    layout = changes.get("layout")
    if layout is not None:
        changes = {**changes, "backbone": replace(backbone, in_channels=layout.num_channels)}
    return make_model(**changes)


def image() -> Tensor:
    return torch.rand(1, 3, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3))


def tracks_of(num_frames: int, num_tracks: int = 40, height: int = HEIGHT, width: int = WIDTH) -> Tracks:
    """Points that wander, share cells, leave the frame, and vanish now and then."""
    generator = torch.Generator().manual_seed(4)
    step = torch.randn(num_frames, num_tracks, 2, generator=generator) * 3
    start = torch.rand(1, num_tracks, 2, generator=generator) * torch.tensor([width, height])
    visibility = torch.rand(num_frames, num_tracks, generator=generator) < 0.8
    return Tracks((start + step.cumsum(0)).float(), visibility, height, width)


def conditions_of(loaded: LoadedModel, vae: TinyVae, tracks: Tracks) -> StreamConditions:
    context = encode_prompt(loaded.model, loaded.spec, "a red circle")
    given = {"frame_size": (HEIGHT, WIDTH)} if loaded.spec.image_rule == "none" else {"image": image(), "vae": vae}
    return StreamConditions(loaded.model, loaded.spec, context, KnownTracks(tracks), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("plan", [ChunkPlan(3, 1), ChunkPlan(3, 3), ChunkPlan(2, 1)], ids=str)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"image_rule": "grey_clip", "pin_first_latent": False},
        {"pin_first_latent": False},
        TEXT_TO_VIDEO,
        WAN_2_2_5B,
        CARRIED,
        {"track_head": TrackHeadConfig("temporal_conv", "round", id_dim=8, out_channels=4, bias=True)},
    ],
    ids=["pinned", "grey clip", "not pinned", "text to video", "5B", "carried", "Track-v0 head"],
)
def test_chunks_are_slices_of_the_whole(
    make_model: MakeModel, vae: TinyVae, plan: ChunkPlan, changes: dict[str, Any]
) -> None:
    loaded = with_channels({**changes, "chunk_plan": plan}, make_model)
    count = plan.chunk(4).stop
    conditions = conditions_of(loaded, vae, tracks_of(loaded.spec.vae_stride.num_frames(count)))
    whole = conditions.whole(count)
    parts = [conditions(chunk) for chunk in plan.chunks(count)]
    for kind in ("mask", "image", "track"):
        expected = getattr(whole, kind)
        if expected is None:
            assert all(getattr(part, kind) is None for part in parts)
            assert loaded.spec.layout.width(kind) == 0  # type: ignore[arg-type]
            continue
        assert expected.shape == (1, loaded.spec.layout.width(kind), count, HEIGHT // 8, WIDTH // 8)  # type: ignore[arg-type]
        for chunk, part in zip(plan.chunks(count), parts, strict=True):
            assert torch.equal(getattr(part, kind), expected[:, :, chunk.start : chunk.stop])
    assert whole.track is not None and (whole.track != 0).any()
    pinned = loaded.spec.pin_first_latent
    for part in (whole, parts[0]):
        assert (part.clean_first is not None) == pinned
        if part.clean_first is not None:
            assert torch.equal(part.clean_first, vae.encode(image()))
    assert all(part.clean_first is None for part in parts[1:])


def test_the_mask_marks_the_first_latent_frame(make_model: MakeModel, vae: TinyVae) -> None:
    whole = conditions_of(make_model(), vae, tracks_of(13)).whole(4)
    assert whole.mask is not None
    assert (whole.mask[:, :, 0] == 1).all() and (whole.mask[:, :, 1:] == 0).all()


# --- the image


def test_first_latent_rule(make_model: MakeModel, vae: TinyVae) -> None:
    whole = conditions_of(make_model(), vae, tracks_of(13)).whole(4)
    assert whole.image is not None
    assert torch.equal(whole.image[:, :, :1], vae.encode(image()))
    assert (whole.image[:, :, 1:] == 0).all()


def test_grey_clip_rule(make_model: MakeModel, vae: TinyVae) -> None:
    """What Wan 2.1 I2V is fed: the encoding of a clip that is the image and then mid-grey; then its last frame."""
    loaded = make_model(image_rule="grey_clip", pin_first_latent=False)
    conditions = conditions_of(loaded, vae, tracks_of(13))
    clip = torch.full((1, 3, 81, HEIGHT, WIDTH), 0.5)
    clip[:, :, :1] = image()
    expected = vae.encode(clip)
    whole = conditions.whole(25).image
    assert whole is not None and expected.shape[2] == 21
    assert torch.equal(whole[:, :, :21], expected)
    assert torch.equal(whole[:, :, 21:], expected[:, :, -1:].expand(-1, -1, 4, -1, -1))
    assert (expected[:, :, 1] - expected[:, :, -1]).abs().max() > 1e-4  # it takes some frames to forget the image


def test_no_image_rule_needs_no_vae(make_model: MakeModel, vae: TinyVae) -> None:
    assert image_latents(with_channels(TEXT_TO_VIDEO, make_model).spec, vae, image()) is None


@pytest.mark.parametrize("missing", ["image", "vae"])
def test_a_missing_image_or_vae_is_named(make_model: MakeModel, vae: TinyVae, missing: str) -> None:
    loaded = make_model()
    given = {"image": image(), "vae": vae, missing: None}
    context = encode_prompt(loaded.model, loaded.spec, "a")
    with pytest.raises(ValueError, match="image and vae are needed"):
        StreamConditions(loaded.model, loaded.spec, context, KnownTracks(tracks_of(1)), **given)  # type: ignore[arg-type]


def test_text_to_video_asks_for_its_size(make_model: MakeModel) -> None:
    loaded = with_channels(TEXT_TO_VIDEO, make_model)
    context = encode_prompt(loaded.model, loaded.spec, "a")
    with pytest.raises(ValueError, match="frame_size is needed"):
        StreamConditions(loaded.model, loaded.spec, context, KnownTracks(tracks_of(1)))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((40, 48), "height is 40 px.*nearest that fit: 32 or 48"),
        ((32, 50), "width is 50 px.*nearest that fit: 48 or 64"),
    ],
)
def test_a_size_that_does_not_fit_names_the_nearest(
    make_model: MakeModel, vae: TinyVae, size: tuple[int, int], message: str
) -> None:
    loaded = make_model()
    context = encode_prompt(loaded.model, loaded.spec, "a")
    with pytest.raises(ValueError, match=message):
        StreamConditions(
            loaded.model, loaded.spec, context, KnownTracks(tracks_of(1)), image=torch.rand(1, 3, 1, *size), vae=vae
        )


# --- the prompt


def test_an_unknown_word_is_named(make_model: MakeModel) -> None:
    loaded = make_model()
    with pytest.raises(ValueError, match="unknown words green, zebra; this small model knows a red blue"):
        encode_prompt(loaded.model, loaded.spec, "a green zebra")
    with pytest.raises(ValueError, match="has 7 words; this small model reads 6"):
        encode_prompt(loaded.model, loaded.spec, "a a a a a a a")


def test_a_model_without_text_encoder_says_what_to_do(make_model: MakeModel) -> None:
    loaded = make_model(vocabulary=())
    with pytest.raises(ValueError, match="no text encoder of its own"):
        encode_prompt(loaded.model, loaded.spec, "a")


def test_prompts_differ_and_a_new_context_takes_effect(make_model: MakeModel, vae: TinyVae) -> None:
    loaded = make_model()
    red, blue = (encode_prompt(loaded.model, loaded.spec, f"a {color} circle") for color in ("red", "blue"))
    assert not torch.equal(red.text[0][0], blue.text[0][0])
    conditions = conditions_of(loaded, vae, tracks_of(13))
    plan = loaded.spec.chunk_plan
    assert torch.equal(conditions(plan.chunk(0)).context.text[0][0], red.text[0][0])
    conditions.context = blue
    assert conditions(plan.chunk(1)).context is blue


# --- the tracks


def test_known_tracks_are_let_go_past_their_end() -> None:
    tracks = tracks_of(10)
    source = KnownTracks(tracks)
    inside = source.at_frames(2, 9)
    assert torch.equal(inside.points, tracks.points[2:9]) and torch.equal(inside.visibility, tracks.visibility[2:9])
    across = source.at_frames(8, 12)
    assert torch.equal(across.points[:2], tracks.points[8:])
    assert torch.equal(across.visibility[:2], tracks.visibility[8:])
    assert not across.visibility[2:].any()
    beyond = source.at_frames(20, 24)
    assert beyond.num_frames == 4 and not beyond.visibility.any() and beyond.points.isfinite().all()
    for part in (inside, across, beyond):
        assert torch.equal(part.ids, tracks.ids) and (part.height, part.width) == (HEIGHT, WIDTH)


def test_known_tracks_may_end_in_an_unseen_point_that_is_no_number() -> None:
    points = torch.full((3, 1, 2), float("nan"))
    points[:2] = 5
    visibility = torch.tensor([[True], [True], [False]])
    source = KnownTracks(Tracks(points, visibility, HEIGHT, WIDTH))
    assert source.at_frames(2, 6).points[1:].isfinite().all()
    assert source.at_frames(0, 3).visibility.sum() == 2


def test_past_their_end_known_tracks_say_nothing_to_the_model(make_model: MakeModel, vae: TinyVae) -> None:
    loaded = make_model()
    conditions = conditions_of(loaded, vae, tracks_of(13))
    plan = loaded.spec.chunk_plan
    told, untold = conditions(plan.chunk(1)).track, conditions(plan.chunk(2)).track
    assert told is not None and told.any()
    assert untold is not None and not untold.any()


def test_tracks_of_another_frame_size_are_scaled(make_model: MakeModel, vae: TinyVae) -> None:
    loaded = make_model()
    own, double = tracks_of(13), tracks_of(13).rescaled(2 * HEIGHT, 2 * WIDTH)
    one, other = (conditions_of(loaded, vae, tracks).whole(4).track for tracks in (own, double))
    assert one is not None and other is not None and torch.equal(one, other)


def test_tracks_are_asked_for_once_a_chunk_and_in_order(make_model: MakeModel, vae: TinyVae) -> None:
    asked: list[tuple[int, int]] = []

    class Source:
        def at_frames(self, start: int, stop: int) -> Tracks:
            asked.append((start, stop))
            return tracks_of(stop - start)

    loaded = make_model()
    context = encode_prompt(loaded.model, loaded.spec, "a")
    conditions = StreamConditions(loaded.model, loaded.spec, context, Source(), image=image(), vae=vae)
    assert asked == []
    for index in range(4):
        given = conditions(loaded.spec.chunk_plan.chunk(index))
        assert isinstance(given, Conditions)
    assert asked[0] == (0, 1) and asked[-1] == (25, 37)
    assert all(before[1] == after[0] for before, after in pairwise(asked))


def test_a_model_without_track_head_asks_for_no_tracks(make_model: MakeModel, vae: TinyVae) -> None:
    layout = InputLayout((("noise", 4), ("mask", 4), ("image", 4)))
    loaded = with_channels({"track_head": None, "layout": layout}, make_model)
    assert conditions_of(loaded, vae, tracks_of(13)).whole(4).track is None


def test_a_carried_image_is_drafted_only_where_the_tracks_changed_it(vae: TinyVae) -> None:
    drafted = with_draft(vae, [image().expand(-1, -1, 9, -1, -1)])
    source = CarriedImage(drafted, VaeStride(4, 8), image()[0, :, 0])
    points = torch.tensor([[[8.0, 8.0]]]).repeat(13, 1, 1)
    points[5:, 0, 0] += 6
    tracks = Tracks(points, torch.ones(13, 1, dtype=torch.bool), HEIGHT, WIDTH)
    first = source.at_latents(0, 1, tracks.slice(0, 1)).latents
    assert torch.equal(first, drafted.encode(image()))
    later = source.at_latents(1, 4, tracks.slice(1, 13)).latents
    rest, carried = source.still, source.carried
    assert rest is not None and carried is not None
    assert torch.equal(later[:, :, :1], rest)  # frames 1 to 4: nothing has moved yet
    assert torch.equal(later[:, :, :, :, -1:], rest[..., -1:].expand(-1, -1, 3, -1, -1))  # far from the point
    assert not torch.equal(later[:, :, 2, :2, :2], rest[:, :, 0, :2, :2])
    expected = drafted.draft(carried.shown[None, :, None].expand(-1, -1, 4, -1, -1))  # type: ignore[misc]
    changed = (later[:, :, 2] != rest[:, :, 0]).any(1)
    torch.testing.assert_close(later[0, :, 2, changed[0]], expected[0, :, 0, changed[0]])
