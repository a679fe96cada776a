"""Nodes that change tracks in time: another part, pace, direction or length, and without jitter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ...motionstream_core.tracks import retime, smooth
from ...motionstream_core.tracks.easing import FRAME_TOLERANCE, HOLDS
from ..sockets import advanced, schema
from .inputs import ALIASES, changed_tracks_output, frames_input, tracks_input
from .sizes import handed_on, read_tracks


class MotionStreamRetimeTracks(io.ComfyNode):
    """TRACKS trimmed, reversed, faster or slower, with rests before and after."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamRetimeTracks",
            display_name="MotionStream Retime Tracks",
            category="MotionStream/tracks",
            description="Keeps a part of the frames, plays them forwards or backwards at another speed or over another "
            "length, and lets the points rest before and after.",
            search_aliases=[*ALIASES, "trim", "retime", "reverse", "speed", "slow motion", "resample", "track range"],
            inputs=[
                tracks_input(),
                frames_input(
                    "length",
                    0,
                    "Number of frames of the result; it always has as many. 0: as many as the motion and the rests "
                    "take.",
                ),
                frames_input(
                    "start", 0, "The first frame that is kept; below 0 it counts from the end.", low=-1_000_000
                ),
                frames_input(
                    "stop", 0, "Frames from this one on are left out; 0: none, below 0 from the end.", low=-1_000_000
                ),
                io.Float.Input(
                    "speed",
                    default=0.0,
                    min=0.0,
                    max=1000.0,
                    step=0.05,
                    tooltip="Frames of the tracks per frame of the result: 1 as it is, 2 twice as fast. What does not "
                    "fit into length is cut. 0: whatever fills length.",
                ),
                io.Boolean.Input("reverse", default=False, tooltip="Play the kept frames backwards."),
                frames_input("rest_before", 0, "Frames before the motion begins.", **advanced()),
                frames_input("rest_after", 0, "Frames after the motion has ended.", **advanced()),
                _hold_input("before", "before the motion begins"),
                _hold_input("after", "after the motion has ended"),
            ],
            outputs=[
                changed_tracks_output("The points over their new time, as core's TRACKS."),
                io.Int.Output("num_frames", display_name="length", tooltip="The number of frames, for the sampler."),
            ],
        )

    @classmethod
    def execute(
        cls,
        tracks: Mapping[str, Any],
        length: int,
        start: int,
        stop: int,
        speed: float,
        reverse: bool,
        rest_before: int,
        rest_after: int,
        before: str,
        after: str,
    ) -> io.NodeOutput:
        given = read_tracks(tracks)
        if length == 0:
            intervals = max(0, len(range(*slice(start, stop or None).indices(given.num_frames))) - 1)
            taken = intervals if speed == 0 else math.ceil(intervals / speed - FRAME_TOLERANCE)
            length = taken + 1 + rest_before + rest_after
        moved = retime(
            given,
            length,
            start=start,
            stop=stop or None,
            speed=speed or None,
            reverse=reverse,
            rest_before=rest_before,
            rest_after=rest_after,
            before=before,
            after=after,
        )
        return io.NodeOutput(handed_on(moved, tracks), length)


class MotionStreamSmoothTracks(io.ComfyNode):
    """TRACKS without jitter."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamSmoothTracks",
            display_name="MotionStream Smooth Tracks",
            category="MotionStream/tracks",
            description="Averages every point over neighbouring frames: takes the jitter out of tracked or hand-drawn "
            "motion. Never across frames in which the point is invisible; the first and last point of every visible "
            "run, and straight even motion, stay as they are.",
            search_aliases=[*ALIASES, "smooth", "denoise", "jitter", "stabilize", "blur"],
            inputs=[
                tracks_input(),
                io.Int.Input(
                    "radius",
                    default=3,
                    min=0,
                    max=1000,
                    tooltip="Frames on either side that are averaged: a Gaussian of standard deviation radius / 2, so "
                    "3 looks at 7 frames. 0 changes nothing; corners get rounder with more.",
                ),
            ],
            outputs=[changed_tracks_output("The smoothed points, as core's TRACKS; visibility stays.")],
        )

    @classmethod
    def execute(cls, tracks: Mapping[str, Any], radius: int) -> io.NodeOutput:
        return io.NodeOutput(handed_on(smooth(read_tracks(tracks), radius), tracks))


def _hold_input(name: str, when: str) -> Any:
    return io.Combo.Input(
        name,
        options=list(HOLDS),
        default=HOLDS[0],
        tooltip=f"What the points do {when}: hold: they rest, visible; hide: they are invisible.",
        **advanced(),
    )
