"""The node that reads a row of a manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from comfy_api.latest import InputImpl, io

from ...motionstream_core.batch.inputs import fitting
from ...motionstream_core.batch.manifest import SUFFIXES, Row, read_manifest
from ...motionstream_core.files import path_below, require_regular
from ...motionstream_core.live.open import Log
from ...motionstream_core.media.picture import read_picture
from ...motionstream_core.tracks import read_file
from ...motionstream_core.tracks.text import text_of
from ..host.user_files import chosen, is_chosen, listed
from ..pictures import BUNDLED, MEDIA, levels
from ..sockets import TracksSocket, after_run, schema
from ..tracks.inputs import size_input

FILES = ("image", "tracks", "video", "live_log")
EXAMPLE = "three_jobs.csv"
MOST_ROWS = 1_000_000


class MotionStreamManifestRow(io.ComfyNode):
    """One row of a table of jobs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamManifestRow",
            display_name="MotionStream Manifest Row",
            category="MotionStream/batch",
            description="Reads one row of a table of jobs (CSV or JSONL) in ComfyUI's input folder. With row set to "
            "increment, every run takes the next one. An empty cell gives nothing: no image, no tracks, no video, 0, "
            "or an empty text.",
            search_aliases=["batch", "csv", "jsonl", "table", "queue", "many"],
            inputs=[
                io.Combo.Input(
                    "manifest",
                    options=[BUNDLED + EXAMPLE, *listed(SUFFIXES, outputs=False)],
                    default=BUNDLED + EXAMPLE,
                    tooltip="A .csv or .jsonl below the input folder, or the bundled one. Files that its rows name lie "
                    "beside it, or in folders below. Press R to have new tables listed.",
                ),
                io.Int.Input(
                    "row",
                    default=1,
                    min=1,
                    max=MOST_ROWS,
                    control_after_generate=after_run("increment"),
                    tooltip="Which row; 1 is the first job, the line of names is not counted. With increment, every "
                    "run takes the next one.",
                ),
                io.String.Input(
                    "column",
                    default="",
                    optional=True,
                    tooltip="A column of your own, whose cell comes out of value.",
                ),
                size_input("width", "Width in px that coordinate JSON is in; 0: that of the row's image.", 0),
                size_input("height", "Height in px that coordinate JSON is in; 0: that of the row's image.", 0),
            ],
            outputs=[
                io.String.Output("job_id", display_name="job_id", tooltip="The job's name, for MotionStream Save Job."),
                io.Image.Output("image", display_name="image", tooltip="The picture of column image."),
                io.String.Output("prompt", display_name="prompt", tooltip="Column prompt."),
                TracksSocket.Output("tracks", display_name="tracks", tooltip="Trajectories of the file in tracks."),
                io.Video.Output("video", display_name="video", tooltip="The video of column video, a reference say."),
                io.String.Output(
                    "live_log", display_name="live_log", tooltip="Text of the log in live_log, for MotionStream Live."
                ),
                io.Int.Output("seed", display_name="seed", tooltip="Column seed."),
                io.Int.Output("length", display_name="length", tooltip="Column length, in frames."),
                io.AnyType.Output("value", display_name="value", tooltip="The cell of column: a number, or text."),
                io.Int.Output("num_rows", display_name="rows", tooltip="How many rows the manifest has."),
            ],
        )

    @classmethod
    def validate_inputs(cls, manifest: str | None) -> bool | str:
        return manifest == BUNDLED + EXAMPLE or is_chosen(manifest, SUFFIXES, "manifest", outputs=False)

    @classmethod
    def fingerprint_inputs(cls, manifest: str | None, row: int | None, **others: Any) -> str:
        if manifest is None or row is None:
            return "linked"
        try:
            path = manifest_of(manifest)
            found = _row(path, row)[0]
            states = [(name, _beside(path, found, name).stat()) for name in FILES if name in found.values]
        except (ValueError, OSError) as error:
            return str(error)
        return f"{found} {[(name, state.st_size, state.st_mtime_ns) for name, state in states]}"

    @classmethod
    def execute(cls, manifest: str, row: int, column: str = "", width: int = 0, height: int = 0) -> io.NodeOutput:
        path = manifest_of(manifest)
        found, num_rows = _row(path, row)
        files = {name: _beside(path, found, name) for name in FILES if name in found.values}
        image = levels(read_picture(files["image"]).pixels)[None] if "image" in files else None
        own = (0, 0) if image is None else (image.shape[1], image.shape[2])
        sides = (height or own[0], width or own[1])
        size = sides if all(sides) else None
        tracks = None
        if "tracks" in files:
            remedy = "give the width and height that they were made for"
            tracks = read_file(files["tracks"], size, remedy=remedy).tracks.to_payload()
        return io.NodeOutput(
            found.job_id,
            image,
            _cell(found, "prompt", "STRING", ""),
            tracks,
            InputImpl.VideoFromFile(str(files["video"])) if "video" in files else None,
            _log_text(files["live_log"]) if "live_log" in files else "",
            _cell(found, "seed", "INT", 0),
            _cell(found, "length", "INT", 0),
            _own(found, column.strip()),
            num_rows,
            ui={"text": (f"{found.job_id} ({row} of {num_rows})",)},
        )


def manifest_of(name: str) -> Path:
    """The file that an option stands for. Raises as `chosen` does."""
    if name == BUNDLED + EXAMPLE:
        return MEDIA / EXAMPLE
    return chosen(name, SUFFIXES, "manifest", outputs=False)


def _row(path: Path, number: int) -> tuple[Row, int]:
    """A row, and how many there are. Raises ValueError where there is none of that number."""
    rows = read_manifest(path)
    found = next((row for row in rows if row.number == number), None)
    if found is None:
        raise ValueError(f"row is {number}, but {path.name} has {len(rows)}; give 1 to {len(rows)}")
    return found, len(rows)


def _beside(manifest: Path, row: Row, column: str) -> Path:
    """The file that a cell names, below the manifest's folder."""
    what = f"row {row.number}, {column}"
    value = row.values[column]
    if not isinstance(value, str):
        raise ValueError(f"{what}: it names a file, not {value!r}")
    path = path_below(manifest.parent, value, what)
    require_regular(path, what)
    return path


def _cell(row: Row, column: str, kind: str, empty: Any) -> Any:
    if column not in row.values:
        return empty
    limits = {"min": 0, "max": 2**64 - 1}
    try:
        return fitting({"input": {"required": {column: [kind, limits]}}}, column, row.values[column])
    except ValueError as error:
        raise ValueError(f"row {row.number}, {column}: {error}") from None


def _own(row: Row, column: str) -> Any:
    """The cell of a column of the user's: a CSV's as a number or a truth where it reads as one."""
    if not column:
        return ""
    if column not in row.values:
        has = ", ".join(row.values) or "none"
        raise ValueError(f"column is {column!r}, which row {row.number} does not fill; it has {has}")
    value = row.values[column]
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return read if isinstance(read, bool | int | float) else value


def _log_text(path: Path) -> str:
    return Log.parse(text_of(path.read_bytes())).text
