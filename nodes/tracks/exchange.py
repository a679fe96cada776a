"""Nodes that bring tracks out of ComfyUI and back: npz and JSON files, coordinate JSON, ATI."""

from __future__ import annotations

import logging
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ...motionstream_core.files import checked_name, path_below
from ...motionstream_core.tracks import TrackFormatError, read_file, resample, to_ati, to_coordinate_json
from ..host.user_files import chosen, is_chosen, listed, option_of, state_of
from ..sockets import schema
from .files import IF_EXISTS, SUFFIXES, named, write
from .inputs import (
    ALIASES,
    frames_input,
    order_input,
    size_input,
    tracks_input,
    tracks_output,
    units_input,
)
from .sizes import Payload, read_tracks, sized_tracks


class MotionStreamTracksToJSON(io.ComfyNode):
    """TRACKS as coordinate JSON."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamTracksToJSON",
            display_name="MotionStream Tracks to JSON",
            category="MotionStream/tracks",
            description="Writes tracks as coordinate JSON, which KJNodes, ComfyUI's own WanMove nodes and MotionStream "
            "Tracks from JSON read.",
            search_aliases=[*ALIASES, "export", "json", "coordinates"],
            inputs=[tracks_input()],
            outputs=[
                io.String.Output(
                    "json",
                    display_name="json",
                    tooltip="[[{x, y, v}, ...], ...]: nested, equal lengths, px, v 1 or 0. Invisible points are held "
                    "where they were seen last, since most readers ignore v.",
                )
            ],
        )

    @classmethod
    def execute(cls, tracks: Payload) -> io.NodeOutput:
        return io.NodeOutput(to_coordinate_json(read_tracks(tracks)))


class MotionStreamTracksToATI(io.ComfyNode):
    """TRACKS as ATI's 121 samples."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamTracksToATI",
            display_name="MotionStream Tracks to ATI",
            category="MotionStream/tracks",
            description="Writes tracks as the JSON that ATI takes (ComfyUI's WanTrackToVideo): exactly 121 samples per "
            "point over the whole video, whatever its length.",
            search_aliases=[*ALIASES, "ATI", "121", "WanTrackToVideo", "export"],
            inputs=[tracks_input("Trajectories, in px of the size that the ATI node has.")],
            outputs=[
                io.String.Output("json", display_name="json", tooltip="Coordinate JSON of 121 samples per point.")
            ],
        )

    @classmethod
    def execute(cls, tracks: Payload) -> io.NodeOutput:
        return io.NodeOutput(to_ati(read_tracks(tracks)))


class MotionStreamSaveTracks(io.ComfyNode):
    """TRACKS to a file below ComfyUI's output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamSaveTracks",
            display_name="MotionStream Save Tracks",
            category="MotionStream/tracks",
            description="Saves tracks below ComfyUI's output folder: npz holds them exactly, with the size they refer "
            "to; json is coordinate JSON for other programs.",
            search_aliases=[*ALIASES, "save", "export", "npz"],
            is_output_node=True,
            inputs=[
                tracks_input("The trajectories to be saved. Points get their identities by their order."),
                size_input(
                    "width", "Width in px that the tracks refer to, which npz keeps; 0: as they say themselves.", 0
                ),
                size_input(
                    "height", "Height in px that the tracks refer to, which npz keeps; 0: as they say themselves.", 0
                ),
                io.String.Input(
                    "name",
                    default="tracks/motion",
                    tooltip="The file's name below the output folder, subfolders parted by /. The format's suffix is "
                    "added, in place of another's.",
                ),
                io.Combo.Input(
                    "format",
                    options=[suffix[1:] for suffix in SUFFIXES],
                    default="npz",
                    tooltip="npz: exact, compact, with the size; json: coordinate lists, without it.",
                ),
                io.Combo.Input(
                    "if_exists",
                    options=list(IF_EXISTS),
                    default=IF_EXISTS[0],
                    tooltip="Where the file is there already. increment: name_0002 and so on; overwrite: replace it; "
                    "skip: leave it as it is.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "file",
                    display_name="file",
                    tooltip="The file's name; choose it in MotionStream Load Tracks after a refresh (R).",
                )
            ],
        )

    @classmethod
    def execute(cls, tracks: Payload, width: int, height: int, name: str, format: str, if_exists: str) -> io.NodeOutput:
        given = sized_tracks(tracks, height, width)
        folder = Path(folder_paths.get_output_directory())
        path = write(given, path_below(folder, named(checked_name(name, "name"), format), "name"), if_exists)
        file = option_of(path)
        return io.NodeOutput(file, ui={"text": (file,)})


class MotionStreamLoadTracks(io.ComfyNode):
    """TRACKS from a file in ComfyUI's input or output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamLoadTracks",
            display_name="MotionStream Load Tracks",
            category="MotionStream/tracks",
            description="Loads tracks from ComfyUI's input or output folder: npz of MotionStream Save Tracks, "
            "coordinate JSON in every usual spelling, or a drawing of the Track Editor.",
            search_aliases=[*ALIASES, "load", "import", "npz", "json"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=listed(SUFFIXES),
                    tooltip="A .npz or .json file below the input folder, or, with [output] behind its name, below the "
                    "output folder. Files that are new need a refresh of the page's node definitions (R).",
                ),
                size_input(
                    "width",
                    "Width in px to bring the tracks to; 0: as saved. Coordinate JSON does not tell its size: give the "
                    "one it is in.",
                    0,
                ),
                size_input(
                    "height",
                    "Height in px to bring the tracks to; 0: as saved. Coordinate JSON does not tell its size: give "
                    "the one it is in.",
                    0,
                ),
                frames_input("length", 0, "Number of frames to spread the motion over; 0: as many as were saved."),
                units_input(),
                order_input(),
            ],
            outputs=[
                tracks_output("The trajectories, as core's TRACKS."),
                io.Int.Output("loaded_width", display_name="width", tooltip="Width in px that the tracks refer to."),
                io.Int.Output("loaded_height", display_name="height", tooltip="Height in px that the tracks refer to."),
                io.Int.Output("num_frames", display_name="length", tooltip="The number of frames, for the sampler."),
            ],
        )

    @classmethod
    def validate_inputs(cls, file: str | None) -> bool | str:
        return is_chosen(file, SUFFIXES, "file")

    @classmethod
    def fingerprint_inputs(
        cls,
        file: str | None,
        width: int | None,
        height: int | None,
        length: int | None,
        units: str | None = None,
        order: str | None = None,
    ) -> str:
        return f"{state_of(file, SUFFIXES, 'file')}, {width} x {height} px, {length} frames, {units}, {order}"

    @classmethod
    def execute(
        cls, file: str, width: int, height: int, length: int, units: str = "auto", order: str = "auto"
    ) -> io.NodeOutput:
        asked = (height, width) if height and width else None
        remedy = "give the width and height that they were made for"
        try:
            found = read_file(chosen(file, SUFFIXES, "file"), asked, units=units, order=order, remedy=remedy)
        except TrackFormatError as error:
            raise TrackFormatError(f"file: {error}") from None
        tracks = found.tracks.rescaled(height or found.tracks.height, width or found.tracks.width)
        tracks = resample(tracks, length or tracks.num_frames)
        logging.info("MotionStream Load Tracks: %s", found.told)
        size = (tracks.width, tracks.height)
        return io.NodeOutput(tracks.to_payload(), *size, tracks.num_frames, ui={"text": (found.told,)})
