"""What becomes of a stream's frames: kept for the next node, written to a file while they come, or both."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import folder_paths
import torch
from torch import Tensor

from ...motionstream_core.streaming.render.video_file import VideoFile
from ..frame_fit import Size

ENDLESS_PREFIX = "motionstream/stream"
SUFFIX = ".mp4"
OTHER_VIDEOS = (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv")
PICTURES = (".apng", ".avif", ".gif", ".jpeg", ".jpg", ".png", ".webp")


@dataclass
class StreamOutput:
    """Frames (t h w 3) and latents (1 c f h w) of a stream, on the CPU.

    keep: frames to make room for, at once and first of all, so that what cannot be held is known before anything is
    computed; None keeps the newest chunk only.
    """

    size: Size
    keep: int | None
    frames: Tensor = field(init=False)
    num_frames: int = 0
    _latents: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.frames = torch.empty(self.keep or 0, *self.size, 3)

    def push(self, frames: Tensor, latents: Tensor) -> None:
        """Take a chunk."""
        if self.keep is None:
            self.frames = frames.cpu()
            self._latents.clear()
        else:
            self.frames[self.num_frames : self.num_frames + len(frames)] = frames
        self._latents.append(latents.float().cpu())
        self.num_frames += len(frames)

    @property
    def last_frame(self) -> Tensor:
        """The newest frame (h w 3)."""
        return self.frames[-1 if self.keep is None else self.num_frames - 1]

    @property
    def latents(self) -> Tensor:
        """What was kept of the latents."""
        return torch.cat(self._latents, dim=2)


@dataclass(frozen=True)
class SavedStream:
    """Where a stream is written: a file below the host's output folder."""

    path: Path
    subfolder: str

    @classmethod
    def at(cls, prefix: str, size: Size) -> SavedStream:
        """A new name after `prefix`, by the host's rules; a prefix that leads out of the output folder is an error."""
        height, width = size
        folder, stem, counter, subfolder, _ = folder_paths.get_save_image_path(
            prefix, folder_paths.get_output_directory(), width, height
        )
        return cls(Path(folder) / f"{stem}_{counter:05}_{SUFFIX}", subfolder)

    def open(self, fps: float) -> VideoFile:
        """The file, to be written chunk by chunk: `.part` until it is whole, `.partial.mp4` where it was cancelled."""
        return VideoFile(self.path, fps)

    def shown(self) -> dict[str, Any]:
        """For the page: the video below the node."""
        file = {"filename": self.path.name, "subfolder": self.subfolder, "type": "output"}
        return {"images": [file], "animated": (True,)}


def file_prefix(save_as: str) -> str:
    """The name of a video without `.mp4`, if it has that; "" for none.

    Raises ValueError for the extension of another kind of video or picture: only mp4 is written.
    """
    name = save_as.strip()
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in (*OTHER_VIDEOS, *PICTURES):
        raise ValueError(
            f"save_as is {name!r}, but videos are written as {SUFFIX}, not as {suffix}; leave the extension out"
        )
    return name[: -len(SUFFIX)] if suffix == SUFFIX else name
