"""Saved streams: where they are written, which there are, and the node that takes one up."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ...motionstream_core.streaming.state_file import SUFFIX
from ..frame_fit import Size
from ..sockets import StreamFile, StreamSocket, schema
from .output import new_path

_OUTPUT = " [output]"


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
                    options=stream_options(),
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
        try:
            if file is not None:  # None: the input is linked, and its value not known yet
                stream_file(file)
        except FileNotFoundError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, file: str | None) -> str:
        try:
            state = None if file is None else stream_file(file).stat()
        except FileNotFoundError:
            return f"{file}: missing"
        return "linked" if state is None else f"{file}: {state.st_size} bytes, {state.st_mtime_ns} ns"

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(StreamFile(stream_file(file)))


def stream_options() -> list[str]:
    """Every saved stream in the input folder, then in the output folder, marked as core marks those."""
    return list(_found())


def stream_file(option: str) -> Path:
    """The file that an option stands for; only names that were found are known. Raises FileNotFoundError."""
    found = _found()
    if option not in found:
        raise FileNotFoundError(
            f"file: there is no saved stream {option!r} in ComfyUI's input folder, or, with{_OUTPUT} behind its name, "
            f"in its output folder; save one with save_stream of MotionStream Student Streamer"
        )
    return found[option]


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


def option_of(path: Path) -> str:
    """What MotionStream Load Stream calls a file of the output folder."""
    root = Path(folder_paths.get_output_directory()).resolve()
    return f"{path.resolve().relative_to(root).as_posix()}{_OUTPUT}"


def _found() -> dict[str, Path]:
    folders = (folder_paths.get_input_directory(), ""), (folder_paths.get_output_directory(), _OUTPUT)
    return {f"{path.relative_to(root).as_posix()}{mark}": path for root, mark in folders for path in _below(root)}


def _below(root: str) -> list[Path]:
    found = []
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place) / name for name in names if name.endswith(SUFFIX) and not name.startswith(".")]
    return sorted(found)
