"""The clips of a dataset one after another: input tracks, videos, figures; what is done is kept and not done again.

<out>/clips/<clip>/tracks.npz, input.json     what the model was given, and of which clip that is true
<out>/clips/<clip>/<variant>.mp4, .jpg        truth on the left, the model on the right, their tracks over both
<out>/clips/<clip>/made.mp4, true.mp4         where they are kept: the model's video and the true clip, plain
<out>/clips/<clip>/result.json                figures of all variants; written last, so that it says "complete"
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...files import new_file, write_text
from ...media.video_file import VideoFile
from ...streaming.render.fit import image_tensor
from ...streaming.render.job import Pace
from ...streaming.render.prompts import EncodedPrompt
from ...streaming.render.renderer import Renderer, TeacherSettings
from ...streaming.stream import StreamSettings
from ...tracks import Tracks, draw_tracks, drawn_by_lot, load_npz, save_npz, select
from ..world.report import to_video
from .cases import Protocol, Video, first_frame, input_tracks, read_clip
from .counterfactuals import COUNTERFACTUALS, counterfactual
from .datasets import Footage
from .judge import ClipJudge
from .memories import ChunkMemory
from .scene_cases import scene_tracks

OWN = "reconstruction"
BOUNDS = ("still", "vae")
MADE, TRUE = "made.mp4", "true.mp4"
KEPT_CRF = 8  # nearly lossless: whole sets are judged by these files
SHOWN_TRACKS, PX_PER_SHOWN_TRACK = 120, 24  # tracks over a picture should not hide it


@dataclass(frozen=True)
class Plan:
    """What is asked of every clip.

    variants: COUNTERFACTUALS to try beside the clip's own tracks. memories: of a student, to try on the clip's own
    tracks. keep: the plain video of the clip's own tracks and the true clip, for judges of whole sets. prompt: for
    clips without a caption; {clip} in it is the clip's name, with spaces. negative: a teacher's. model: says which
    model this is; a result of another is not taken for this one's.
    """

    protocol: Protocol
    variants: tuple[str, ...] = COUNTERFACTUALS
    memories: tuple[ChunkMemory, ...] = ()
    keep: bool = False
    prompt: str = ""
    negative: str = ""
    settings: StreamSettings = StreamSettings()  # noqa: RUF009  # frozen
    teacher: TeacherSettings = TeacherSettings()  # noqa: RUF009
    model: str = ""


@dataclass(frozen=True)
class ClipResult:
    """Figures of a clip by variant; skipped: why there are none."""

    name: str
    layout: str
    caption: str
    num_frames: int
    num_tracks: int
    variants: dict[str, dict[str, float | None]]
    notes: tuple[str, ...] = ()
    skipped: str | None = None


class ClipRuns:
    """Runs a plan over the clips of a dataset into the folder `out`: of each its input first, then its result.

    Several processes may share a dataset and a folder. Raises ValueError for a model that takes no tracks, and for a
    teacher that is asked for memories.
    """

    def __init__(self, renderer: Renderer, footage: Sequence[Footage], plan: Plan, judge: ClipJudge, out: Path) -> None:
        if renderer.loaded.spec.track_head is None:
            raise ValueError(
                "this model has no track head, it was not made to follow tracks; there is nothing to judge"
            )
        if plan.memories and renderer.loaded.spec.role != "student":
            raise ValueError("--chunks, --sinks and --windows are a student's; this model is a teacher, which has none")
        self.renderer, self.footage, self.plan, self.judge, self.out = renderer, tuple(footage), plan, judge, out
        self._encoded: dict[str, tuple[EncodedPrompt, EncodedPrompt]] = {}
        self._warm = False

    def begin(self, footage: Footage) -> ClipResult | None:
        """Write the input tracks of a clip. None, or its result where nothing is left to do.

        That is one that is complete in `out` for this plan, or that the clip cannot be judged and why.
        """
        kept = self._kept(footage)
        if kept is not None:
            return kept
        try:
            self._input(footage)
        except (OSError, ValueError) as error:
            return _skipped(footage, error)
        return None

    def finish(self, footage: Footage, among: Sequence[Footage]) -> ClipResult:
        """The result of a clip whose input is there, once those of all others are.

        among: the clips of this run. The prompts of those that have no result are encoded with the first one's, so
        that the encoders are in memory once, and before the model. Raises as they do: that is no fault of a clip.
        """
        kept = self._kept(footage)
        if kept is not None:
            return kept
        if footage.name not in self._encoded:
            others = [each for each in among if each != footage and self._has_input(each)]
            self._encode([footage, *(each for each in others if self._kept(each) is None)])
        try:
            return self._run(footage, self._input(footage), self._encoded.pop(footage.name))
        except (OSError, ValueError) as error:
            return _skipped(footage, error)

    def folder(self, name: str) -> Path:
        if Path(name).name != name or name in ("", ".", ".."):
            raise ValueError(f"{name!r} is no name for a clip's folder; rename the clip")
        return self.out / "clips" / name

    def caption(self, footage: Footage) -> str:
        if footage.caption is not None:
            return footage.caption
        return self.plan.prompt.replace("{clip}", footage.name.replace("_", " "))

    def _kept(self, footage: Footage) -> ClipResult | None:
        stored = _read_json(self.folder(footage.name) / "result.json")
        if stored is None or stored.get("of") != self._result_key(footage):
            return None
        values = {name: value for name, value in stored.items() if name != "of"}
        return ClipResult(**{**values, "notes": tuple(values["notes"])})

    def _input(self, footage: Footage) -> Tracks:
        """The tracks that the clip's own motion tells, from `out` where they are kept."""
        folder = self.folder(footage.name)
        if self._has_input(footage):
            return load_npz(folder / "tracks.npz")
        frames, indices = read_clip(footage, self.plan.protocol, self.renderer.loaded.spec.lengths.moving.at_most)
        notes = footage.told()
        if footage.layout == "scenes":
            tracks, notes = scene_tracks(footage, indices, self.plan.protocol)
        else:
            tracks = input_tracks(frames, self.judge.tracker, self.plan.protocol.grid)
        if not tracks.num_tracks:
            raise ValueError("no point of its first frame could be followed")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_npz(tracks, folder / "tracks.npz")
        _write_json(folder / "input.json", {"of": self._input_key(footage), "notes": notes})
        return tracks

    def _has_input(self, footage: Footage) -> bool:
        return (_read_json(self.folder(footage.name) / "input.json") or {}).get("of") == self._input_key(footage)

    def _encode(self, clips: Sequence[Footage]) -> None:
        """(prompt, negative) of each clip."""
        images = [image_tensor(first_frame(each, self.plan.protocol)) for each in clips]
        captions, names = [self.caption(each) for each in clips], [each.name for each in clips]
        if self.renderer.loaded.spec.role == "student":
            encoded = self.renderer.encode(captions, images)
            negatives = encoded
        else:
            both = self.renderer.encode(captions + [self.plan.negative] * len(clips), images + images)
            encoded, negatives = both[: len(clips)], both[len(clips) :]
        self._encoded |= dict(zip(names, zip(encoded, negatives, strict=True), strict=True))

    def _run(self, footage: Footage, own: Tracks, prompts: tuple[EncodedPrompt, EncodedPrompt]) -> ClipResult:
        truth, _ = read_clip(footage, self.plan.protocol, self.renderer.loaded.spec.lengths.moving.at_most)
        folder = self.folder(footage.name)
        figures: dict[str, dict[str, float | None]] = self._bounds(truth, own)
        notes = list(_read_json(folder / "input.json", required=True)["notes"])
        for variant in (OWN, *(self.plan.variants if footage.layout != "scenes" else ())):
            tracks = own if variant == OWN else self._variant_tracks(variant, footage, own)
            if tracks is None:
                continue
            try:
                figures[variant] = self._measured(self.renderer, folder / variant, truth, own, tracks, prompts)
            except ValueError as error:
                if variant == OWN:
                    raise
                notes.append(f"{variant} was left out: {error}")
        for memory in self.plan.memories:
            renderer = memory.renderer(self.renderer)
            count = renderer.loaded.spec.lengths.moving.at_most(len(truth))
            if not count:
                notes.append(f"{memory.name} was left out: one of its chunks is longer than the clip")
                continue
            short, seen = own.slice(0, count), truth[:count]
            figures[memory.name] = self._measured(renderer, folder / memory.name, seen, short, short, prompts)
        caption, num_frames = self.caption(footage), len(truth)
        result = ClipResult(footage.name, footage.layout, caption, num_frames, own.num_tracks, figures, tuple(notes))
        _write_json(folder / "result.json", {"of": self._result_key(footage), **asdict(result)})
        return result

    def _measured(
        self,
        renderer: Renderer,
        stem: Path,
        truth: Video,
        own: Tracks,
        tracks: Tracks,
        prompts: tuple[EncodedPrompt, EncodedPrompt],
    ) -> dict[str, float | None]:
        """Figures of the video that `tracks` make, which is saved; likeness to the true clip under its own tracks."""
        video, pace = self._video(renderer, truth[0], tracks, prompts)
        measured: dict[str, float | None] = asdict(self.judge.track_error(video, tracks))
        if tracks is own:
            measured |= asdict(self.judge.likeness(video, truth))
        spec = renderer.loaded.spec
        save_side_by_side(stem, truth, video, own, tracks, spec.fps)
        if self.plan.keep and stem.name == OWN:
            for name, frames in ((MADE, video), (TRUE, truth)):
                with VideoFile(stem.with_name(name), spec.fps, crf=KEPT_CRF) as file:
                    file.push(torch.from_numpy(frames.copy()).float() / 255)
        return measured | {
            "frames_per_second": pace.frames_per_second,
            "latency_s": pace.seconds_per_chunk if spec.role == "student" else None,
            "first_frame_s": pace.first_frame_s,
        }

    def _bounds(self, truth: Video, own: Tracks) -> dict[str, dict[str, float | None]]:
        """From both sides: the first frame held for ever, and the true clip through the VAE."""
        frozen = np.repeat(truth[:1], len(truth), 0)
        counted = (own.visibility & own.in_frame())[1:] & (own.visibility & own.in_frame())[:1]
        rest = (own.points[1:] - own.points[:1]).norm(dim=-1)[counted]
        frames = torch.from_numpy(truth.copy()).float() / 255
        rebuilt = to_video(self.renderer.reconstruction(frames).cpu())
        return {
            "still": {**asdict(self.judge.likeness(frozen, truth)), "epe_px": float(rest.mean())},
            "vae": {**asdict(self.judge.likeness(rebuilt, truth)), **asdict(self.judge.track_error(rebuilt, own))},
        }

    def _variant_tracks(self, variant: str, footage: Footage, own: Tracks) -> Tracks | None:
        if variant != "other":
            return counterfactual(variant, own)
        index = self.footage.index(footage)
        for other in (*self.footage[index + 1 :], *self.footage[:index]):
            if self._has_input(other):
                return counterfactual(variant, own, load_npz(self.folder(other.name) / "tracks.npz"))
        return None  # a dataset of one clip has no other

    def _video(
        self, renderer: Renderer, image: Video, tracks: Tracks, prompts: tuple[EncodedPrompt, EncodedPrompt]
    ) -> tuple[Video, Pace]:
        if not self._warm:  # the first video of a process loads kernels, which is no model's pace
            quick = replace(self.plan.teacher, num_steps=1)
            for _ in self._frames(renderer, image, tracks, prompts, renderer.loaded.spec.lengths.moving.first, quick):
                pass
            self._warm = True
        parts: list[torch.Tensor] = []
        pace = Pace()
        for frames in self._frames(renderer, image, tracks, prompts, tracks.num_frames, self.plan.teacher):
            parts.append(frames.cpu())  # waits for the device, so that the time is the chunk's
            pace.chunk(len(frames))
        return to_video(torch.cat(parts)), pace

    def _frames(
        self,
        renderer: Renderer,
        image: Video,
        tracks: Tracks,
        prompts: tuple[EncodedPrompt, EncodedPrompt],
        num_frames: int,
        teacher: TeacherSettings,
    ) -> Iterator[torch.Tensor]:
        spec = renderer.loaded.spec
        takes_image = spec.image_rule != "none" or spec.backbone.image_dim is not None
        return renderer.video(
            prompts[0],
            image_tensor(image) if takes_image else None,
            tracks,
            num_frames,
            settings=self.plan.settings,
            teacher=teacher,
            negative=prompts[1],
            frame_size=self.plan.protocol.frame_size,
        )

    def _input_key(self, footage: Footage) -> str:
        tracker = "cameras" if footage.layout == "scenes" else self.judge.tracker.name
        spec = self.renderer.loaded.spec  # says where a clip is cut
        cut = spec.role, asdict(spec.chunk_plan), asdict(spec.vae_stride)
        return _digest(str(footage.path.resolve()), asdict(self.plan.protocol), tracker, *cut)

    def _result_key(self, footage: Footage) -> str:
        lpips = self.judge.lpips is not None
        asked = asdict(replace(self.plan, prompt=self.caption(footage)))
        others = [each.name for each in self.footage] if "other" in self.plan.variants else []
        return _digest(self._input_key(footage), self.judge.tracker.name, asked, lpips, self.judge.size, others)


def _skipped(footage: Footage, error: Exception) -> ClipResult:
    return ClipResult(footage.name, footage.layout, "", 0, 0, {}, skipped=str(error))


def save_side_by_side(stem: Path, truth: Video, video: Video, own: Tracks, tracks: Tracks, fps: float) -> None:
    """`stem`.mp4: the true clip with its own tracks beside the video with its input tracks; one frame as `stem`.jpg."""
    shown = min(SHOWN_TRACKS, truth.shape[1] * truth.shape[2] // PX_PER_SHOWN_TRACK**2)
    halves = [
        draw_tracks(torch.from_numpy(frames.copy()), select(each, drawn_by_lot(each, max(1, shown), 0)))
        for frames, each in ((truth, own), (video, tracks))
    ]
    both = torch.cat(halves, dim=2)
    with VideoFile(stem.with_suffix(".mp4"), fps, crf=20) as file:
        file.push(both.float() / 255)
    poster = Image.fromarray(both[len(both) * 2 // 3].numpy())
    with new_file(stem.with_suffix(".jpg")) as file:
        poster.save(file, "JPEG", quality=88)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _read_json(path: Path, required: bool = False) -> Any:
    if not required and not path.is_file():
        return None
    return json.loads(path.read_text("utf-8"))


def _write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=1))
