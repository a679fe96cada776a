"""Renders one row after another with a model that is loaded once; the same here and on the machines of a cluster."""

from __future__ import annotations

import json
import socket
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files import sha256_of
from ..streaming.render.job import read_job, write_frames
from ..streaming.render.renderer import Renderer
from ..streaming.stream import StreamSettings
from ..version import own_version
from .model_choice import ModelChoice
from .renders import Render
from .storage import below, content, exists, fetched, is_address, names_below, put, remove, require_writable

VIDEO, PARTIAL, SIDECAR = ".mp4", ".partial.mp4", ".json"
FORMAT = "motionstream-render"
LET_GO_S, LOOK_S = 60.0, 1.0
"""How long a video is waited for that another process writes: one that its cluster gave up may still be ending."""


@dataclass(frozen=True)
class Output:
    """Where and how videos are written. folder: a path or an address. generated: see `media.video_file.VideoFile`."""

    folder: str
    overwrite: bool = False
    generated: bool = True

    def places(self, job: Render) -> tuple[str, str]:
        """Of a job's video and of the JSON beside it."""
        return below(self.folder, job.job_id + VIDEO), below(self.folder, job.job_id + SIDECAR)

    def all_made(self, jobs: Sequence[Render]) -> dict[Render, str]:
        """`made` of those jobs that are. An address is listed once, and not asked for what is not there."""
        if is_address(self.folder):
            there = names_below(self.folder)
            jobs = [job for job in jobs if {job.job_id + VIDEO, job.job_id + SIDECAR} <= there]
        found = {job: self.made(job) for job in jobs}
        return {job: video for job, video in found.items() if video is not None}

    def made(self, job: Render) -> str | None:
        """Where a job's video is, if it is there and its JSON tells of the same render."""
        video, beside = self.places(job)
        told = _told(beside)
        return video if told is not None and told.get("digest") == job.digest and exists(video) else None


class RenderWorker:
    """Makes videos named by their jobs: `folder/job_id.mp4`, and then `job_id.json`, which tells that it is whole.

    A video whose JSON tells of the same render is not made again, whoever made it: that is how a job that was finished
    just before its machine was lost is found. jobs: whose prompts are encoded as it loads, each text once, so that the
    text encoder is gone before the first video.
    """

    def __init__(self, choice: ModelChoice, output: Output, jobs: Sequence[Render] = ()) -> None:
        self._choice, self._output = choice, output
        self._prompts = tuple(dict.fromkeys(each.prompt for each in jobs))
        self._negatives = tuple(dict.fromkeys(each.negative for each in jobs))
        self._renderer: Renderer | None = None

    def load(self, device: str) -> None:
        """Load the model.

        Raises as `open_renderer` and `Renderer.prepare` do, and OSError where videos cannot be put to their address.
        """
        require_writable(self._output.folder)
        self._renderer = self._choice.open(device)
        is_teacher = self._renderer.loaded.spec.role == "teacher"
        self._renderer.prepare([*self._prompts, *(self._negatives if is_teacher else ())])

    def work(self, job: Render) -> str:
        """Make a video, or find it made; where it is."""
        ends = time.monotonic() + LET_GO_S
        while True:
            try:
                return self._made(job)
            except FileExistsError:
                if time.monotonic() > ends:
                    raise
                time.sleep(LOOK_S)

    def _made(self, job: Render) -> str:
        if found := self._output.made(job):
            return found
        video, beside = self._output.places(job)
        if exists(video) and _told(beside) is None and not self._output.overwrite:
            raise ValueError(f"{video} is there already, of no render known; give --overwrite to replace it")
        remove(beside)  # it would tell of another video
        remove(below(self._output.folder, job.job_id + PARTIAL))  # of an attempt that was cancelled
        with tempfile.TemporaryDirectory(prefix="motionstream_") as folder:
            path = Path(folder) / f"video{VIDEO}" if is_address(video) else Path(video)
            about = self._render(job, path, Path(folder))
            if is_address(video):
                put(path, video)
            about_file = Path(folder) / "about.json"
            about_file.write_text(json.dumps(about, indent=1, ensure_ascii=False), "utf-8")
            put(about_file, beside)
        return video

    def _render(self, job: Render, path: Path, folder: Path) -> dict[str, object]:
        assert self._renderer is not None, "load comes first"
        started = time.time()
        image, tracks = (None if each is None else fetched(each, folder) for each in (job.image, job.tracks))
        read = read_job(
            self._renderer,
            job.prompt,
            image,
            tracks,
            num_frames=job.num_frames,
            frame_size=self._choice.frame_size,
            negative=job.negative,
            units=job.units,
            order=job.order,
        )
        settings, teacher = StreamSettings(seed=job.seed), self._choice.teacher
        frames, fps = read.frames(self._renderer, settings, teacher), self._renderer.loaded.spec.fps
        pace = write_frames(frames, path, fps, generated=self._output.generated)
        return {
            "format": FORMAT,
            "version": 1,
            "job_id": job.job_id,
            "digest": job.digest,
            "sha256": sha256_of(path),
            "frames": pace.num_frames,
            "width": read.tracks.width,
            "height": read.tracks.height,
            "seed": job.seed,
            "prompt": job.prompt,
            "motionstream": own_version(),
            "seconds": round(time.time() - started, 3),
            "host": socket.gethostname(),
        }


def _told(place: str) -> dict[str, object] | None:
    """What a video's JSON tells; None where there is none of ours."""
    text = content(place)
    if text is None:
        return None
    try:
        told = json.loads(text)
    except ValueError:
        return None
    return told if isinstance(told, dict) and told.get("format") == FORMAT else None
