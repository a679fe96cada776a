"""Stage prepare: videos with captions to shards of latents, embeddings and tracks (`video_clips` reads them).

A shard is made of a fixed run of the source list, whatever of it is dropped. So a run that was stopped goes on at the
first shard that is not finished, several machines share the shards of one list (`part`), and the result is the same
as that of one undisturbed process.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...checkpoints.spec import ModelSpec
from ...pool.pool import Pool, ended
from ...tracks.extract.tracker import Tracker, grid_queries
from .encoders import ClipEncoders
from .footage import Footage, FootageError, read_footage
from .shards import VERSION, Drop, PrepareReport, RawClip, ShardWriter, sidecar, write_json, write_report
from .sources import Source
from .workers import ordered_map


@dataclass(frozen=True)
class PrepareSettings:
    """What clips are made of which videos.

    frame_size: (height, width) px. num_frames: of a clip, 1 + 4k. fps: videos are re-sampled to it.
    aspect_range: least and greatest width / height of a video; None allows a factor of 1.5 from the frame's own.
    min_frames: of a video after re-sampling, at least num_frames, which None means. clip_stride_frames: a video longer
    than a clip gives another one every so many frames, up to max_clips; None gives the first alone.
    grid: rows and columns of points that are tracked from the first frame. min_followed: share of them that must be
    seen in most of the clip's frames, or the clip is dropped: there is a cut in it, or nothing to hold on to.
    """

    frame_size: tuple[int, int]
    num_frames: int
    fps: float = 16.0
    aspect_range: tuple[float, float] | None = None
    min_frames: int | None = None
    clip_stride_frames: int | None = None
    max_clips: int = 8
    grid: tuple[int, int] = (50, 50)
    min_followed: float = 0.1
    sources_per_shard: int = 32

    def __post_init__(self) -> None:
        if self.num_frames < 1 or (self.num_frames - 1) % 4:
            raise ValueError(f"num_frames is {self.num_frames}; it must be 1 + 4k")
        if self.fps <= 0:
            raise ValueError(f"fps is {self.fps}; it must be more than 0")
        if self.min_frames is not None and self.min_frames < self.num_frames:
            raise ValueError(f"min_frames is {self.min_frames}, less than a clip's {self.num_frames} frames")
        if self.clip_stride_frames is not None and self.clip_stride_frames < 1:
            raise ValueError(f"clip_stride_frames is {self.clip_stride_frames}; it must be at least 1, or None")
        for name in ("max_clips", "sources_per_shard"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.aspect_range is not None and not 0 < self.aspect_range[0] <= self.aspect_range[1]:
            raise ValueError(f"aspect_range is {self.aspect_range}; it must be (least, greatest) width / height")

    @classmethod
    def of_spec(cls, spec: ModelSpec, num_latent_frames: int, **changes: Any) -> PrepareSettings:
        """Clips for a model: its frame size, its rate, its VAE's length."""
        made = cls(spec.frame_size, spec.vae_stride.num_frames(num_latent_frames), spec.fps)
        return replace(made, **changes)

    @property
    def footage(self) -> Footage:
        """What is read of each video."""
        aspect = self.frame_size[1] / self.frame_size[0]
        allowed = self.aspect_range or (aspect / 1.5, aspect * 1.5)
        more = (self.max_clips - 1) * self.clip_stride_frames if self.clip_stride_frames else 0
        count = max(self.num_frames + more, self.min_frames or 0)
        return Footage(self.frame_size, self.fps, count, allowed)


@dataclass(frozen=True)
class Loaded:
    """What a source gave. hdr: whether its clips have HDR's levels (`Display`)."""

    clips: Sequence[RawClip] = ()
    dropped: Sequence[Drop] = ()
    hdr: bool = False


@dataclass(frozen=True)
class Loader:
    """Source to raw clips: what worker processes do. It raises nothing that a video can cause.

    seen_from: where relative paths begin.
    """

    settings: PrepareSettings
    tracker: Tracker | None
    seen_from: Path

    def __call__(self, source: Source) -> Loaded:
        if not source.caption:
            return Loaded(dropped=[Drop(str(source.video), "no caption", "its caption is missing or empty")])
        settings = self.settings
        try:
            frames, hdr = read_footage(self.seen_from / source.video, settings.footage)
            wanted = settings.min_frames or settings.num_frames
            if len(frames) < wanted:
                raise FootageError("too short", f"{len(frames)} frames at {settings.fps:g} fps, wanted {wanted}")
        except FootageError as error:
            return Loaded(dropped=[Drop(str(source.video), error.reason, error.detail)])
        clips, dropped = [], []
        for start in range(0, len(frames) - settings.num_frames + 1, settings.clip_stride_frames or len(frames)):
            clip = RawClip(start, frames[start : start + settings.num_frames])
            clip, fault = (clip, None) if self.tracker is None else tracked(clip, self.tracker, settings)
            if fault is None:
                clips.append(clip)
            else:
                dropped.append(Drop(str(source.video), "no tracks", fault))
        return Loaded(clips, dropped, hdr)


def tracked(clip: RawClip, tracker: Tracker, settings: PrepareSettings) -> tuple[RawClip, str | None]:
    """The clip with its tracks, and why it is to be dropped, or None."""
    tracks = tracker.track(clip.frames, grid_queries(*settings.frame_size, *settings.grid))
    visibility = tracks.visibility.numpy()
    followed = float((visibility.mean(0) > 0.5).mean())
    fault = None
    if followed < settings.min_followed:
        fault = (
            f"{followed:.0%} of the points are seen in most frames from {clip.start_frame} on, "
            f"wanted {settings.min_followed:.0%}"
        )
    return replace(clip, points=tracks.points.numpy(), visibility=visibility), fault


Part = tuple[int, int]
Tools = Callable[[str], tuple[ClipEncoders, Tracker]]
"""Opens, on a torch device, what a worker needs; picklable where workers are elsewhere."""


@dataclass
class ShardWorker:
    """Writes the shards of a part that are not finished yet.

    num_workers: processes that decode and track; 0 does it in the worker's. report: gets (sources done, sources) of a
    part. seen_from: where relative paths of videos begin, on whatever machine.
    """

    sources: Sequence[Source]
    settings: PrepareSettings
    open_tools: Tools
    folder: Path
    num_workers: int = 0
    report: Callable[[int, int], None] | None = None
    seen_from: Path = field(default_factory=Path.cwd)
    _tools: tuple[ClipEncoders, Tracker] | None = field(default=None, init=False)

    def load(self, device: str) -> None:
        """Open the encoders and the tracker."""
        self._tools = self.open_tools(device)

    def work(self, job: Part) -> int:
        """Write them; how many sources the part has.

        Raises ValueError for a folder that was begun with other settings.
        """
        assert self._tools is not None, "load comes first"
        encoders, tracker = self._tools
        encoders.stride.num_latent_frames(self.settings.num_frames)
        _check_manifest(self.folder, _manifest(self.sources, self.settings, encoders, tracker), job)
        shards = _shards(self.sources, self.settings.sources_per_shard, job)
        total = sum(len(run) for _, run in shards)
        unfinished = [(number, run) for number, run in shards if not sidecar(self.folder, number).exists()]
        done = total - sum(len(run) for _, run in unfinished)
        loader = Loader(self.settings, tracker if tracker.in_workers else None, self.seen_from)
        loaded = ordered_map(loader, (source for _, run in unfinished for source in run), self.num_workers)
        with closing(loaded):
            for number, run in unfinished:
                shard = ShardWriter(encoders, self.settings.frame_size, self.settings.fps)
                for source in run:
                    _add(shard, source, next(loaded), tracker, self.settings)
                    done += 1
                    if self.report:
                        self.report(done, total)
                shard.write(self.folder, number)
        return total


def prepare_videos(
    worker: ShardWorker,
    pool: Pool,
    part: Part = (0, 1),
    attempts: int = 1,
    say: Callable[[str], None] = lambda text: None,
) -> PrepareReport:
    """Write the shards that are not finished yet over `pool`, and report.json and report.csv beside them.

    In this process a part is one job, whose worker processes read on while a shard is written; elsewhere every shard is
    a job. part: (i, n) takes every n-th shard from the i-th on. attempts: of a job that may do better another time;
    say: is told of each that is tried again. Bad videos are dropped and reported, never fatal. Raises ValueError for no
    sources, an impossible part, or a folder that was begun with other settings; RuntimeError where jobs failed every
    time, once all others are done.
    """
    if not worker.sources:
        raise ValueError("there are no videos to prepare")
    if not 0 <= part[0] < part[1]:
        raise ValueError(f"part is {part[0]}/{part[1]}; it must be i/n with 0 <= i < n")
    worker.folder.mkdir(parents=True, exist_ok=True)
    if failed := list(_over(worker, pool, part, attempts, say)):
        raise RuntimeError(f"{len(failed)} shards are not there; run it again. The first: {failed[0]}")
    return write_report(worker.folder, len(worker.sources), part)


def _over(worker: ShardWorker, pool: Pool, part: Part, attempts: int, say: Callable[[str], None]) -> Iterator[str]:
    """Do the jobs of a part; why some were given up."""
    report, size = worker.report, worker.settings.sources_per_shard
    shards, count = _shards(worker.sources, size, part), -(-len(worker.sources) // size)
    left = {(number, count): len(run) for number, run in shards if not sidecar(worker.folder, number).exists()}
    total = sum(len(run) for _, run in shards)
    done = total - sum(left.values())
    if not pool.is_here:
        worker = replace(worker, report=None)  # of this process alone
    apart = left or {(number, count): 0 for number, _ in shards[:1]}  # one at least, whose worker checks the folder
    jobs: deque[Part] = deque([part] if pool.is_here else apart)
    for job, outcome in ended(pool, worker, jobs, attempts, lambda job, where: None, lambda job, error: say(error)):
        if outcome.value is None and not outcome.again:
            raise ValueError(outcome.error)
        if outcome.value is None:
            yield outcome.error
        elif report and not pool.is_here:
            done += left.get(job, 0)
            report(done, total)


def _shards(sources: Sequence[Source], size: int, part: Part) -> list[tuple[int, Sequence[Source]]]:
    """Number and sources of each shard of a part."""
    return [
        (number, sources[first : first + size])
        for number, first in enumerate(range(0, len(sources), size))
        if number % part[1] == part[0]
    ]


def _add(
    shard: ShardWriter,
    source: Source,
    loaded: Loaded | None,
    tracker: Tracker,
    settings: PrepareSettings,
) -> None:
    """What was loaded of a source to its shard; None where its worker process died of it."""
    video, caption = str(source.video), source.caption or ""
    loaded = loaded or Loaded(dropped=[Drop(video, "crashed", "the process that read it died")])
    shard.dropped += loaded.dropped
    fault = shard.encoders.caption_fault(caption) if loaded.clips else None
    if fault is not None:
        shard.dropped.append(Drop(video, "caption", fault))
        return
    for clip in loaded.clips:
        missing = None
        if clip.points is None:
            clip, missing = tracked(clip, tracker, settings)
        if missing is None:
            shard.add(video, caption, clip, loaded.hdr)
        else:
            shard.dropped.append(Drop(video, "no tracks", missing))


def _manifest(
    sources: Sequence[Source], settings: PrepareSettings, encoders: ClipEncoders, tracker: Tracker
) -> dict[str, Any]:
    listing = hashlib.sha256("\n".join(f"{source.video}\t{source.caption}" for source in sources).encode()).hexdigest()
    return {
        "version": VERSION,
        "settings": json.loads(json.dumps(asdict(settings))),
        "sources": f"{len(sources)} videos, {listing[:12]}",
        "encoders": encoders.name,
        "tracker": tracker.name,
    }


def _check_manifest(folder: Path, manifest: dict[str, Any], part: tuple[int, int]) -> None:
    path = folder / "manifest.json"
    if not path.exists():
        write_json(path, manifest, part)
        return
    begun = json.loads(path.read_text("utf-8"))
    for name, value in manifest.items():
        if begun.get(name) != value:
            raise ValueError(
                f"{folder} was begun with other {name}: {begun.get(name)}, now {value}; "
                "give another folder, or empty it"
            )
