"""Nodes that choose points: some of those there are, or new ones inside a mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor
from torch.nn import functional

from ...motionstream_core.tracks import (
    at_rest,
    covered,
    drawn_by_lot,
    farthest,
    grid_in_mask,
    resample,
    select,
    spread_in_mask,
    visible_share,
    with_mask,
)
from ..sockets import advanced, schema, seed_input
from .inputs import (
    ALIASES,
    changed_tracks_output,
    frames_input,
    length_input,
    size_input,
    tracks_input,
    tracks_output,
)
from .sizes import handed_on, read_tracks, sized_tracks

KEPT = ("in mask", "visible", "random", "moving")
PLACES = ("grid", "count")


class MotionStreamFilterTracks(io.ComfyNode):
    """Some of the points of TRACKS, and the others."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamFilterTracks",
            display_name="MotionStream Filter Tracks",
            category="MotionStream/tracks",
            description="Keeps the points that lie in a mask in one frame, that are visible long enough, that move, "
            "or that a seeded lot falls on; the others come out beside them. Points keep their order. Their identities "
            "are drawn by it anew, so the same seed of a sampler may give a slightly different video.",
            search_aliases=[*ALIASES, "filter", "mask", "select", "random subset", "thin out"],
            inputs=[
                tracks_input(),
                io.Combo.Input(
                    "keep",
                    options=list(KEPT),
                    default=KEPT[0],
                    tooltip="in mask: points on the mask in `frame`; visible: points seen in at least min_visible of "
                    "the frames; random: `count` of them by lot; moving: points that come farther than min_motion.",
                ),
                io.Boolean.Input("invert", default=False, tooltip="Keep the others instead."),
                frames_input(
                    "frame",
                    0,
                    "For in mask: the frame that is looked at; below 0 it counts from the end.",
                    low=-1000000,
                ),
                io.Float.Input(
                    "min_visible",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="For visible: the least share of frames in which a point is seen.",
                ),
                io.Int.Input(
                    "count",
                    default=100,
                    min=0,
                    max=100_000,
                    tooltip="For random: how many points; all where there are no more. A larger number adds points.",
                ),
                seed_input("For random: which points. The same seed picks the same ones.", stays=True),
                size_input(
                    "width",
                    "For in mask: width in px that the tracks refer to; 0: theirs, or the mask's.",
                    0,
                    **advanced(),
                ),
                size_input(
                    "height",
                    "For in mask: height in px that the tracks refer to; 0: theirs, or the mask's.",
                    0,
                    **advanced(),
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="For in mask: laid over the whole frame; of several masks, the one with the frame's "
                    "number. A point that is invisible or out of the frame is not in it.",
                ),
                io.Float.Input(
                    "min_motion",
                    default=4.0,
                    min=0.0,
                    max=16384.0,
                    step=0.5,
                    optional=True,
                    tooltip="For moving: how many px a point has to come away from where it is first seen. What rests "
                    "in a video, and what a tracker lost, goes.",
                ),
            ],
            outputs=[
                changed_tracks_output("The points that were kept, as core's TRACKS."),
                tracks_output("The points that were not.", "rest", "rest"),
            ],
        )

    @classmethod
    def execute(
        cls,
        tracks: Mapping[str, Any],
        keep: str,
        invert: bool,
        frame: int,
        min_visible: float,
        count: int,
        seed: int,
        width: int,
        height: int,
        mask: Tensor | None = None,
        min_motion: float = 4.0,
    ) -> io.NodeOutput:
        if keep == "in mask":
            if mask is None:
                raise ValueError("mask: nothing is connected; connect a MASK, or choose another value of keep")
            masks = _stack(mask)
            given = sized_tracks(tracks, height, width, otherwise=(masks.shape[1], masks.shape[2]))
            kept = covered(given, _mask_of(masks, frame, given.num_frames), frame)
        else:
            given = read_tracks(tracks)
            if keep == "visible":
                kept = visible_share(given) >= min_visible
            elif keep == "moving":
                kept = farthest(given) > min_motion
            else:
                kept = drawn_by_lot(given, count, seed)
        if invert:
            kept = ~kept
        return io.NodeOutput(handed_on(select(given, kept), tracks), handed_on(select(given, ~kept), tracks))


class MotionStreamTracksFromMask(io.ComfyNode):
    """Points inside a mask."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamTracksFromMask",
            display_name="MotionStream Tracks from Mask",
            category="MotionStream/tracks",
            description="Points on whatever a mask covers, at rest: to hold it still, or to move it with MotionStream "
            "Transform Tracks. With a video of masks, points can follow the mask.",
            search_aliases=[*ALIASES, "mask", "segment", "static points", "points in mask", "object"],
            inputs=[
                io.Mask.Input(
                    "mask", tooltip="Covered is 0.5 and more. Of several masks, points are chosen in the first."
                ),
                io.Combo.Input(
                    "place",
                    options=list(PLACES),
                    default=PLACES[0],
                    tooltip="grid: one point every `spacing` px; count: `count` points, evenly spread.",
                ),
                io.Float.Input(
                    "spacing", default=16.0, min=0.5, max=4096.0, step=0.5, tooltip="For grid: px between points."
                ),
                io.Int.Input(
                    "count",
                    default=20,
                    min=1,
                    max=10_000,
                    tooltip="For count: how many points; fewer where the mask has fewer pixels.",
                ),
                seed_input("For count: where the first point lies. The same seed gives the same points.", stays=True),
                length_input(),
                io.Boolean.Input(
                    "follow",
                    default=False,
                    tooltip="Move the points with the middle of the mask, over a video of masks, spread over length. "
                    "Where a mask covers nothing they are invisible.",
                ),
                io.Int.Input(
                    "margin",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip="Px that points keep from the mask's edge, where background begins.",
                    **advanced(),
                ),
                size_input("width", "Width of the video in px; 0: the mask's own.", 0, **advanced()),
                size_input("height", "Height of the video in px; 0: the mask's own.", 0, **advanced()),
            ],
            outputs=[tracks_output("The points, `length` samples each, as core's TRACKS.")],
        )

    @classmethod
    def execute(
        cls,
        mask: Tensor,
        place: str,
        spacing: float,
        count: int,
        seed: int,
        length: int,
        follow: bool,
        margin: int,
        width: int,
        height: int,
    ) -> io.NodeOutput:
        masks = _stack(mask)
        size = (height or masks.shape[1], width or masks.shape[2])
        if masks.shape[1:] != size:
            masks = functional.interpolate(masks[:, None], size=size, mode="area")[:, 0]
        if place == "grid":
            points = grid_in_mask(masks[0], spacing, margin)
        else:
            points = spread_in_mask(masks[0], count, seed, margin)
        tracks = resample(with_mask(points, masks), length) if follow else at_rest(points, length, *size)
        return io.NodeOutput(tracks.to_payload())


def _stack(mask: Tensor) -> Tensor:
    """MASK as float32 (t h w), on the CPU; some nodes give a single one as (h w)."""
    masks = mask.detach().to("cpu", torch.float32)
    masks = masks[None] if masks.ndim == 2 else masks
    if masks.ndim != 3 or 0 in masks.shape:
        raise ValueError(f"mask has shape {tuple(mask.shape)}; it must be (t h w)")
    return masks


def _mask_of(masks: Tensor, frame: int, num_frames: int) -> Tensor:
    """The mask for `frame`: the only one, or the one of that number."""
    if len(masks) == 1:
        return masks[0]
    if len(masks) != num_frames:
        raise ValueError(f"mask: there are {len(masks)} masks for {num_frames} frames; give one, or one per frame")
    if not -num_frames <= frame < num_frames:
        raise ValueError(f"frame is {frame}; the tracks have frames 0 to {num_frames - 1}")
    return masks[frame]
