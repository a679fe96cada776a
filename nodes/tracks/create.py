"""Nodes that make tracks: from JSON, as a grid."""

from __future__ import annotations

import logging

from comfy_api.latest import io

from ...motionstream_core.tracks import TrackFormatError, point_grid, read_coordinates, resample, to_coordinate_json
from ..frame_fit import FIT_TOOLTIP, PICTURE_FITS, fit_tracks
from ..sockets import advanced, schema
from .inputs import ALIASES, length_input, order_input, size_input, tracks_output, units_input, video_size_inputs


class MotionStreamTracksFromJSON(io.ComfyNode):
    """Coordinate JSON, in every spelling seen in the wild, to TRACKS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamTracksFromJSON",
            display_name="MotionStream Tracks from JSON",
            category="MotionStream/tracks",
            description="Reads trajectories from text: [[{x, y}, ...], ...], one list per point, or one flat list; "
            "[x, y] pairs, single quotes and a visibility v (0 or 1) are read too. Malformed text is an error that "
            "names track, sample and field.",
            search_aliases=[*ALIASES, "coordinates", "json", "WanMove", "ATI"],
            inputs=[
                io.String.Input(
                    "coordinates",
                    multiline=True,
                    placeholder='[[{"x": 20, "y": 64}, {"x": 108, "y": 64}]]',
                    tooltip="The trajectories as JSON, in px or in shares of the frame (units). Samples are spread "
                    "evenly over the whole video; points between them are interpolated. Shorter tracks are invisible "
                    "after their last sample.",
                ),
                *video_size_inputs(),
                length_input(),
                size_input(
                    "source_width", "Width in px of the picture that was drawn over; 0: the video's.", 0, **advanced()
                ),
                size_input(
                    "source_height", "Height in px of the picture that was drawn over; 0: the video's.", 0, **advanced()
                ),
                io.Combo.Input(
                    "fit",
                    options=list(PICTURE_FITS),
                    default="crop",
                    tooltip=f"How a picture of another size, and the tracks with it, come to the video's size. Choose "
                    f"what the sampler has. {FIT_TOOLTIP}",
                    **advanced(),
                ),
                units_input(),
                order_input(),
            ],
            outputs=[
                tracks_output("The trajectories, `length` samples each, as core's TRACKS."),
                io.String.Output(
                    "json",
                    display_name="json",
                    tooltip="The same as plain JSON: nested lists of equal length, in px of the video, v 0 or 1.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        coordinates: str,
        width: int,
        height: int,
        length: int,
        source_width: int,
        source_height: int,
        fit: str,
        units: str = "auto",
        order: str = "auto",
    ) -> io.NodeOutput:
        try:
            drawn = read_coordinates(
                coordinates,
                height=source_height or height,
                width=source_width or width,
                units=units,
                order=order,
                remedy="give source_width and source_height of the picture that they were made for",
            )
        except TrackFormatError as error:
            raise TrackFormatError(f"coordinates: {error}") from None
        logging.info("MotionStream Tracks from JSON: %s", drawn.told)
        tracks = resample(fit_tracks(drawn.tracks, (height, width), fit), length)
        return io.NodeOutput(tracks.to_payload(), to_coordinate_json(tracks), ui={"text": (drawn.told,)})


class MotionStreamPointGrid(io.ComfyNode):
    """Points at rest on a grid: what to move with a camera, or to hold a background still."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamPointGrid",
            display_name="MotionStream Point Grid",
            category="MotionStream/tracks",
            description="A grid of points at rest over the whole video: holds the picture still where they lie.",
            search_aliases=[*ALIASES, "grid", "static points", "background"],
            inputs=[
                io.Int.Input("rows", default=50, min=1, max=300, tooltip="Rows of points, evenly spread."),
                io.Int.Input("columns", default=50, min=1, max=300, tooltip="Columns of points, evenly spread."),
                *video_size_inputs(),
                length_input(),
            ],
            outputs=[tracks_output("rows x columns visible points at rest, as core's TRACKS.")],
        )

    @classmethod
    def execute(cls, rows: int, columns: int, width: int, height: int, length: int) -> io.NodeOutput:
        return io.NodeOutput(point_grid(height, width, rows, columns, length).to_payload())
