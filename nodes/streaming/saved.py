"""Saved streams: where they are written, and the node that takes one up."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ...motionstream_core.streaming.state_file import SUFFIX
from ..frame_fit import Size
from ..host.user_files import chosen, is_chosen, listed, state_of
from ..sockets import StreamFile, StreamSocket, schema
from .output import new_path

SUFFIXES = (SUFFIX,)


class MotionStreamLoadStream(io.ComfyNode):
    """A stream that a streamer saved, for another one to go on with."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamLoadStream",
            display_name="MotionStream Load Stream",
            category="MotionStream/stream",
            description="Takes up a stream that MotionStream Student Streamer saved (save_stream), below ComfyUI's "
            "output or input folder: connected to go_on_from it goes on where it ended, as if it had never been cut.",
            search_aliases=["resume", "continue video", "extend video", "saved stream", "load state"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=listed(SUFFIXES),
                    tooltip=f"A {SUFFIX} file below the input folder, or, with [output] behind its name, below the "
                    "output folder. Files that are new need a refresh of the page's node definitions (R).",
                )
            ],
            outputs=[
                StreamSocket.Output(
                    "stream",
                    display_name="stream",
                    tooltip="The saved stream, for go_on_from of MotionStream Student Streamer with the same model.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, file: str | None) -> bool | str:
        return is_chosen(file, SUFFIXES, "file")

    @classmethod
    def fingerprint_inputs(cls, file: str | None) -> str:
        return state_of(file, SUFFIXES, "file")

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(StreamFile(chosen(file, SUFFIXES, "file")))


def new_stream_file(save_stream: str, size: Size) -> Path | None:
    """A new name after `save_stream` below the output folder, by the host's rules; None where it is empty.

    Raises ValueError as `new_path` does.
    """
    prefix = save_stream.strip().removesuffix(SUFFIX)
    if not prefix:
        return None
    folder, stem, *_ = new_path(prefix, folder_paths.get_output_directory(), size, "save_stream")
    number = 1
    while (path := folder / f"{stem}_{number:05}{SUFFIX}").exists():
        number += 1
    return path
