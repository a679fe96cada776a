"""The node that saves a job's video under the job's name, and beside it what it was made of."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import io

from ...motionstream_core.batch.workflow import is_link
from ...motionstream_core.files import checked_name, free_path, path_below, sha256_of, write_text
from ...motionstream_core.media.video_file import VideoFile
from ...motionstream_core.version import own_version
from ..frame_fit import opaque
from ..sockets import credentials_input, schema
from ..streaming.output import SavedStream

SUFFIX, SIDECAR = ".mp4", ".json"
OVERWRITE, SKIP, INCREMENT = "overwrite", "skip", "increment"
PREFIX = "motionstream/jobs"
PUSHED_AT_ONCE = 16
PACKAGES = ("torch", "av", "numpy", "safetensors")


class MotionStreamSaveJob(io.ComfyNode):
    """A video as {prefix}/{job_id}.mp4."""

    _asked_at: dict[str, float] = {}  # noqa: RUF012 (the host makes a new class for every call)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamSaveJob",
            display_name="MotionStream Save Job",
            category="MotionStream/batch",
            description="Saves a video below ComfyUI's output folder under its job's name, always the same, and beside "
            "it a JSON of seeds, hashes, versions and timings. The file appears when it is whole.",
            search_aliases=["batch", "save video", "queue", "job"],
            is_output_node=True,
            inputs=[
                io.Video.Input(
                    "video",
                    lazy=True,
                    tooltip="What is saved, without sound. Not asked for where skip leaves what is there.",
                ),
                io.String.Input(
                    "job_id",
                    default="job",
                    tooltip="The job's name, subfolders parted by /. motionstream queue sets it, or MotionStream "
                    "Manifest Row.",
                ),
                io.String.Input("prefix", default=PREFIX, tooltip="Folder below the output folder; may be empty."),
                io.Combo.Input(
                    "if_exists",
                    options=[OVERWRITE, SKIP, INCREMENT],
                    default=OVERWRITE,
                    tooltip="Where the video is there. overwrite: replace it; skip: leave it, and ask for no video; "
                    "increment: name_0002 and so on.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    optional=True,
                    force_input=True,
                    tooltip="The seed, to be written down, where it comes by a link; seeds that stand in nodes are "
                    "written down anyway.",
                ),
                credentials_input(),
            ],
            outputs=[io.String.Output("file", display_name="file", tooltip="The video's name in the output folder.")],
            hidden=[io.Hidden.prompt, io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, job_id: str | None, prefix: str | None) -> bool | str:
        try:  # None: linked, and not known yet
            job_path(prefix or "", "job" if job_id is None else job_id)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        """What was saved may be gone since."""
        return time.time()

    @classmethod
    def check_lazy_status(cls, job_id: str, prefix: str, if_exists: str, video: Any = None, **others: Any) -> list[str]:
        """The video is asked for only where something is to be done."""
        if if_exists == SKIP and _is_whole(job_path(prefix, job_id)):
            return []
        if video is None:  # the host asks once more when it is made
            cls._asked_at[str(cls.hidden.unique_id)] = time.monotonic()
        return ["video"]

    @classmethod
    def execute(
        cls,
        job_id: str,
        prefix: str,
        if_exists: str,
        video: Any = None,
        seed: int | None = None,
        content_credentials: bool = True,
    ) -> io.NodeOutput:
        path = job_path(prefix, job_id)
        node = str(cls.hidden.unique_id)
        if if_exists == SKIP and _is_whole(path):
            logging.info("MotionStream Save Job: %s is there already, and left as it is", path.name)
            return _shown(path)
        asked, started = cls._asked_at.pop(node, None), time.monotonic()
        if if_exists == INCREMENT:
            path = free_path(path)
        sidecar(path).unlink(missing_ok=True)  # it would tell of another video
        about = _write(path, video, content_credentials)
        graph = upstream(cls.hidden.prompt or {}, node)
        ended = time.monotonic()
        content = {
            "format": "motionstream-job",
            "version": 1,
            "job_id": job_id,
            "file": path.name,
            "sha256": sha256_of(path),
            **about,
            "seed": seed,
            "seeds": dict(_seeds(graph)),
            "workflow_sha256": hashlib.sha256(json.dumps(graph, sort_keys=True).encode()).hexdigest(),
            "inputs_sha256": dict(_input_files(graph)),
            "workflow": graph,
            "versions": versions(),
            "timings": {
                "saved_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "making_s": None if asked is None else round(started - asked, 3),
                "writing_s": round(ended - started, 3),
            },
        }
        write_text(sidecar(path), json.dumps(content, indent=1, ensure_ascii=False))
        return _shown(path)


def job_path(prefix: str, job_id: str) -> Path:
    """Where a job's video goes. Raises ValueError as `files.path_below` does."""
    folder = Path(folder_paths.get_output_directory())
    name = checked_name(job_id, "job_id") + SUFFIX
    return path_below(folder, f"{checked_name(prefix, 'prefix')}/{name}" if prefix.strip() else name, "job_id")


def sidecar(path: Path) -> Path:
    """What tells of a video, beside it."""
    return path.with_suffix(SIDECAR)


def upstream(prompt: Mapping[str, Any], node: str) -> dict[str, Any]:
    """All that leads to a node of a prompt, and the node; what pages add to it is left out."""
    found: dict[str, Any] = {}
    open_nodes = [node]
    while open_nodes:
        key = open_nodes.pop()
        if key in found or key not in prompt:
            continue
        inputs = prompt[key]["inputs"]
        found[key] = {"class_type": prompt[key]["class_type"], "inputs": inputs}
        open_nodes += [value[0] for value in inputs.values() if is_link(value)]
    return found


def versions() -> dict[str, str]:
    """Of the pack, its host, Python and the packages that decide what a video looks like."""
    import comfyui_version

    found = {
        "comfyui": comfyui_version.__version__,
        "python": platform.python_version(),
        "motionstream": own_version(),
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def _is_whole(path: Path) -> bool:
    return path.is_file() and sidecar(path).is_file()  # the second is written last


def _write(path: Path, video: Any, generated: bool) -> dict[str, Any]:
    """Write a VIDEO; its figures."""
    parts = video.get_components()
    if parts.audio is not None:
        logging.warning("MotionStream Save Job: %s is saved without its sound", path.name)
    frames = opaque(parts.images)
    with VideoFile(path, float(parts.frame_rate), generated=generated) as file:
        for chunk in frames.split(PUSHED_AT_ONCE):
            file.push(chunk)
    height, width = frames.shape[1:3]
    return {"frames": file.num_frames, "fps": float(parts.frame_rate), "width": width, "height": height}


def _seeds(graph: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for key, node in graph.items():
        for name in ("seed", "noise_seed"):
            if isinstance(value := node["inputs"].get(name), int):
                yield f"{key}.{name}", value


def _input_files(graph: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Files of the host's input folder that values of the graph name, and their hashes."""
    folder = Path(folder_paths.get_input_directory())
    values = {value for node in graph.values() for value in node["inputs"].values() if isinstance(value, str)}
    for value in sorted(values):
        try:
            path = path_below(folder, value, "input")
        except ValueError:
            continue
        if path.is_file():
            yield value, sha256_of(path)


def _shown(path: Path) -> io.NodeOutput:
    folder = Path(folder_paths.get_output_directory())
    name = path.relative_to(folder)
    subfolder = "" if name.parent == Path() else name.parent.as_posix()
    return io.NodeOutput(name.as_posix(), ui=SavedStream(path, subfolder).shown())
