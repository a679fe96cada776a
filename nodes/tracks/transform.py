"""Nodes that put tracks elsewhere: several as one, scaled, turned and shifted, or over a frame of another size."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ...motionstream_core.tracks import Placement, Span, Tracks, middle_of, payload_size, resample, retime, transform
from ...motionstream_core.tracks.easing import EASINGS
from ..frame_fit import FIT_TOOLTIP, PICTURE_FITS, fit_tracks
from ..sockets import TracksSocket, advanced, schema
from .inputs import ALIASES, changed_tracks_output, frames_input, size_input, tracks_input, tracks_output
from .sizes import RESCALE, Payload, handed_on, over_frame, read_tracks, sized_tracks

LENGTHS = ("must match", "stretch", "cut or end")
CONSTANT = "constant"
ABOUT = ("points", "place")


class MotionStreamMergeTracks(io.ComfyNode):
    """Several TRACKS as one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamMergeTracks",
            display_name="MotionStream Merge Tracks",
            category="MotionStream/tracks",
            description="All points of two to four TRACKS as one: objects, anchors and a camera's grid together. A "
            "point's identity is drawn by its place in the order, so what is put at the end leaves the others as "
            "they were.",
            search_aliases=[*ALIASES, "merge", "concat", "combine", "join"],
            inputs=[
                TracksSocket.Input("tracks_1", tooltip="The first points. Their number of frames is the result's."),
                TracksSocket.Input(
                    "tracks_2", tooltip="Points that follow; in px of the same size of video: two sizes are an error."
                ),
                *(
                    TracksSocket.Input(
                        f"tracks_{i}", optional=True, tooltip="More points that follow; may be left out."
                    )
                    for i in (3, 4)
                ),
                io.Combo.Input(
                    "lengths",
                    options=list(LENGTHS),
                    default=LENGTHS[0],
                    tooltip="Where the numbers of frames differ. must match: an error; stretch: spread over the first "
                    "one's frames; cut or end: frames keep their numbers, what is missing at the end is invisible.",
                    **advanced(),
                ),
            ],
            outputs=[tracks_output("All points, in the order of the inputs, as core's TRACKS.")],
        )

    @classmethod
    def execute(
        cls,
        tracks_1: Payload,
        tracks_2: Payload,
        lengths: str,
        tracks_3: Payload | None = None,
        tracks_4: Payload | None = None,
    ) -> io.NodeOutput:
        given = {"tracks_1": tracks_1, "tracks_2": tracks_2, "tracks_3": tracks_3, "tracks_4": tracks_4}
        there = {name: payload for name, payload in given.items() if payload is not None}
        parts = _of_one_size(there)
        num_frames = parts["tracks_1"].num_frames
        fitted = [_of_length(name, part, num_frames, lengths) for name, part in parts.items()]
        return io.NodeOutput(handed_on(Tracks.concatenate(fitted), *there.values()))


class MotionStreamTransformTracks(io.ComfyNode):
    """TRACKS scaled, turned and shifted, at once or over time."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamTransformTracks",
            display_name="MotionStream Transform Tracks",
            category="MotionStream/tracks",
            description="Scales points about a point, turns them about it and shifts them: the whole clip alike, or "
            "growing from nothing to the full amount over a span of frames, so that a grid becomes a moving object.",
            search_aliases=[*ALIASES, "scale", "rotate", "translate", "move", "mirror", "zoom", "affine"],
            inputs=[
                tracks_input(),
                _number("scale", 1.0, 0.0, 100.0, 0.01, "Factor of all distances from the point of `about`."),
                _number("rotation", 0.0, -36000.0, 36000.0, 1.0, "Degrees, clockwise as seen on the screen."),
                _number("shift_x", 0.0, -1e5, 1e5, 1.0, "Px to the right; below 0 to the left."),
                _number("shift_y", 0.0, -1e5, 1e5, 1.0, "Px down; below 0 up."),
                io.Combo.Input(
                    "easing",
                    options=[CONSTANT, *EASINGS],
                    default=CONSTANT,
                    tooltip="constant: every frame is placed alike. Others: frames up to start_frame stay, from "
                    "end_frame on all of it holds, and this is the pace between.",
                ),
                frames_input("start_frame", 0, "The last frame that stays as it is; of no effect with constant."),
                frames_input("end_frame", -1, "The first frame that has all of it; -1: the clip's last one.", low=-1),
                io.Combo.Input(
                    "about",
                    options=list(ABOUT),
                    default=ABOUT[0],
                    tooltip="points: their own middle in each frame, so that a moving object turns about itself; "
                    "place: about_x, about_y.",
                ),
                _number("about_x", 0.0, -1e5, 1e5, 1.0, "Px from the left, for about: place."),
                _number("about_y", 0.0, -1e5, 1e5, 1.0, "Px from the top, for about: place."),
                _number(
                    "stretch_x", 1.0, -100.0, 100.0, 0.01, "Factor of widths, beside scale; -1 mirrors.", **advanced()
                ),
                _number(
                    "stretch_y", 1.0, -100.0, 100.0, 0.01, "Factor of heights, beside scale; -1 mirrors.", **advanced()
                ),
            ],
            outputs=[changed_tracks_output("The points in their new places, as core's TRACKS; visibility stays.")],
        )

    @classmethod
    def execute(
        cls,
        tracks: Payload,
        scale: float,
        rotation: float,
        shift_x: float,
        shift_y: float,
        easing: str,
        start_frame: int,
        end_frame: int,
        about: str,
        about_x: float,
        about_y: float,
        stretch_x: float,
        stretch_y: float,
    ) -> io.NodeOutput:
        given = read_tracks(tracks)
        target = Placement(scale * stretch_x, scale * stretch_y, rotation, shift_x, shift_y)
        stop = given.num_frames - 1 if end_frame < 0 else end_frame
        if easing == CONSTANT:
            span = None
        elif stop < start_frame:
            raise ValueError(f"start_frame is {start_frame}, after end_frame {stop}; lower start_frame")
        else:
            span = Span(start_frame, stop, easing)
        middle = middle_of(given) if about == "points" else torch.tensor([about_x, about_y])
        return io.NodeOutput(handed_on(transform(given, target, middle, span), tracks))


class MotionStreamRescaleTracks(io.ComfyNode):
    """TRACKS for a video of another size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamRescaleTracks",
            display_name="MotionStream Rescale Tracks",
            category="MotionStream/tracks",
            description="Tracks over a frame of one size to tracks over another. Those of this pack say what they were "
            "made for; say it of others'.",
            search_aliases=[*ALIASES, "resize tracks", "rescale", "resolution"],
            inputs=[
                tracks_input(),
                size_input("from_width", "Width in px that the tracks refer to now; 0: as they say themselves.", 0),
                size_input("from_height", "Height in px that the tracks refer to now; 0: as they say themselves.", 0),
                size_input("width", "Width in px that they shall refer to."),
                size_input("height", "Height in px that they shall refer to."),
                io.Combo.Input(
                    "fit",
                    options=list(PICTURE_FITS),
                    default="crop",
                    tooltip="How the picture below, and the tracks with it, come to the new size. Choose what the "
                    f"sampler has. {FIT_TOOLTIP}",
                ),
            ],
            outputs=[changed_tracks_output("The same tracks in px of the new size, as core's TRACKS.")],
        )

    @classmethod
    def execute(
        cls, tracks: Payload, from_width: int, from_height: int, width: int, height: int, fit: str
    ) -> io.NodeOutput:
        sides = ("from_height", "from_width")
        given = sized_tracks(tracks, from_height, from_width, sides=sides, overrules=True)
        return io.NodeOutput(fit_tracks(given, (height, width), fit).to_payload())


def _number(name: str, default: float, low: float, high: float, step: float, tooltip: str, **more: Any) -> Any:
    return io.Float.Input(name, default=default, min=low, max=high, step=step, tooltip=tooltip, **more)


def _of_one_size(given: dict[str, Payload]) -> dict[str, Tracks]:
    """The tracks in px of the one frame that they name; those that name none must lie inside it."""
    named = {name: size for name, payload in given.items() if (size := payload_size(payload)) is not None}
    if not named:
        return {name: read_tracks(payload, name) for name, payload in given.items()}
    first, size = next(iter(named.items()))
    for name, (height, width) in named.items():
        if (height, width) != size:
            raise ValueError(
                f"{name} was made for {width} x {height} px, {first} for {size[1]} x {size[0]} px; bring them to one "
                f"size with {RESCALE}"
            )
    return {name: over_frame(payload, size, "stretch", name)[0] for name, payload in given.items()}


def _of_length(name: str, tracks: Tracks, num_frames: int, lengths: str) -> Tracks:
    if tracks.num_frames == num_frames:
        return tracks
    if lengths == "stretch":
        return resample(tracks, num_frames)
    if lengths == "cut or end":
        return retime(tracks, num_frames, speed=1.0, after="hide")
    raise ValueError(
        f"{name} has {tracks.num_frames} frames, tracks_1 has {num_frames}; choose another value of lengths, or bring "
        f"them to one length with the node MotionStream Retime Tracks"
    )
