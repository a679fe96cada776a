"""Shards of prepared videos as files: what one holds, when it counts as finished, what was dropped on the way."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...checkpoints.load import write_safetensors
from ...files import write_text
from ...media.frames import Frames
from .encoders import ClipEncoders

VERSION = 1
SHARD = "video_{:05d}"
MAX_OFFSET_PX = 4096.0  # of hidden points, whose place means little


@dataclass(frozen=True)
class Drop:
    """A video or clip that was left out. reason: one of a few fixed words."""

    video: str
    reason: str
    detail: str


@dataclass(frozen=True)
class PrepareReport:
    """What the folder holds after a run, all finished shards of all parts together.

    hdr: the videos whose clips have HDR's levels, paler than a player shows them.
    """

    num_sources: int
    num_clips: int
    dropped: tuple[Drop, ...]
    hdr: tuple[str, ...] = ()

    @property
    def reasons(self) -> dict[str, int]:
        """How often each reason was given, most often first."""
        return dict(Counter(drop.reason for drop in self.dropped).most_common())


@dataclass(frozen=True)
class RawClip:
    """One clip before it is encoded: frames uint8 (t h w 3); points (t n 2) px, visibility (t n), once tracked."""

    start_frame: int
    frames: Frames
    points: np.ndarray | None = None
    visibility: np.ndarray | None = None


class ShardWriter:
    """Encodes the clips of one shard, and writes it."""

    def __init__(self, encoders: ClipEncoders, frame_size: tuple[int, int], fps: float) -> None:
        self.encoders, self.frame_size, self.fps = encoders, frame_size, fps
        self._tensors: dict[str, Tensor] = {}
        self._clips: list[dict[str, Any]] = []
        self.dropped: list[Drop] = []
        self._hdr: dict[str, None] = {}

    def add(self, video: str, caption: str, clip: RawClip, hdr: bool = False) -> None:
        """Encode a tracked clip; it is dropped where the encoders give what is not finite. hdr: see `Display`."""
        tensors = clip_tensors(clip, caption, self.encoders)
        if bad := [name for name, each in tensors.items() if each.is_floating_point() and not each.isfinite().all()]:
            self.dropped.append(Drop(video, "not finite", f"{', '.join(bad)} from frame {clip.start_frame} on"))
            return
        row = len(self._clips)
        self._tensors |= {f"{row:05d}.{name}": tensor for name, tensor in tensors.items()}
        self._clips.append({"caption": caption, "video": video, "start_s": clip.start_frame / self.fps})
        if hdr:
            self._hdr[video] = None

    def write(self, folder: Path, number: int) -> None:
        """The shard, unless it is empty, and after it the file that says it is finished."""
        if self._clips:
            empty = self.encoders.empty_text
            tensors = self._tensors if empty is None else self._tensors | {"empty_text": empty.to(torch.bfloat16)}
            about = {
                "version": VERSION,
                "clips": self._clips,
                "frame_size": self.frame_size,
                "fps": self.fps,
                "stride": [self.encoders.stride.time, self.encoders.stride.space],
                "encoders": self.encoders.name,
            }
            path = folder / (SHARD.format(number) + ".safetensors")
            write_safetensors(path, tensors, {"about": json.dumps(about)})
        dropped = [asdict(drop) for drop in self.dropped]
        finished = {"clips": len(self._clips), "dropped": dropped, "hdr": list(self._hdr)}
        write_json(sidecar(folder, number), finished)


def clip_tensors(clip: RawClip, caption: str, encoders: ClipEncoders) -> dict[str, Tensor]:
    """What a shard keeps of a clip.

    latents (c f h w), image (c f h w) float16; text (l d), image_tokens (m e) bfloat16, where the encoders give them.
    start (n 2) px float32 and offset (t n 2) px float16, whose sum is the points; visibility bool (t n).
    """
    assert clip.points is not None and clip.visibility is not None
    frames = torch.from_numpy(clip.frames).permute(3, 0, 1, 2)[None].float() / 255
    points, visibility = torch.from_numpy(clip.points), torch.from_numpy(clip.visibility)
    offset = (points - points[:1]).nan_to_num().clamp(-MAX_OFFSET_PX, MAX_OFFSET_PX)
    tensors: dict[str, Tensor | None] = {
        "latents": encoders.vae_latents(frames)[0].half(),
        "start": points[0].clone(),
        "offset": offset.half(),
        "visibility": visibility,
    }
    image, texts, tokens = (
        encoders.image_condition(frames),
        encoders.text([caption]),
        encoders.image_tokens(frames[:, :, 0]),
    )
    tensors["image"] = None if image is None else image[0].half()
    tensors["text"] = None if texts is None else texts[0].to(torch.bfloat16)
    tensors["image_tokens"] = None if tokens is None else tokens[0].to(torch.bfloat16)
    return {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}


def write_report(folder: Path, num_sources: int, part: tuple[int, int] = (0, 1)) -> PrepareReport:
    """report.json (counts, and which videos are HDR) and report.csv (one line for each that was dropped) of all shards
    finished so far."""
    clips, dropped, hdr = 0, [], []
    for path in sorted(folder.glob("video_*.json")):
        finished = json.loads(path.read_text("utf-8"))
        clips += finished["clips"]
        dropped += [Drop(**drop) for drop in finished["dropped"]]
        hdr += finished.get("hdr", [])  # shards of earlier versions do not say it
    made = PrepareReport(num_sources, clips, tuple(dropped), tuple(dict.fromkeys(hdr)))
    write_json(
        folder / "report.json",
        {"sources": num_sources, "clips": clips, "dropped": len(dropped), "reasons": made.reasons, "hdr": made.hdr},
        part,
    )
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["video", "reason", "detail"])
    rows.writerows([drop.video, drop.reason, drop.detail] for drop in dropped)
    write_text(folder / "report.csv", text.getvalue(), str(part[0]))
    return made


def sidecar(folder: Path, number: int) -> Path:
    return folder / (SHARD.format(number) + ".json")


def write_json(path: Path, content: dict[str, Any], part: tuple[int, int] = (0, 1)) -> None:
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False), str(part[0]))
