"""What becomes of a stream's frames: kept for the next nodes, written to a file while they come, or both."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import folder_paths
import torch
from comfy_api.latest import InputImpl, Types, io
from torch import Tensor

from ...motionstream_core.files import checked_name, path_below
from ...motionstream_core.media.video_file import VideoFile
from ..frame_fit import Size
from ..host.preview import has_client

ENDLESS_PREFIX = "motionstream/stream"
PREVIEW_PREFIX = "motionstream"
SUFFIX = ".mp4"
OTHER_VIDEOS = (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv")
PICTURES = (".apng", ".avif", ".gif", ".jpeg", ".jpg", ".png", ".webp")


def video_output() -> io.Video.Output:
    """The frames once more, as the host's VIDEO; last among a node's outputs, where links of saved workflows hold."""
    return io.Video.Output("streamed_video", display_name="video", tooltip="The same frames as a video, without sound.")


def video_of(frames: Tensor, fps: float) -> Any:
    """Frames (t h w 3) in [0, 1] as the host's VIDEO."""
    parts = Types.VideoComponents(images=frames, audio=None, frame_rate=Fraction(fps).limit_denominator(1001))
    return InputImpl.VideoFromComponents(parts)


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

    def newest(self, count: int) -> Tensor:
        """The last `count` frames (t h w 3) that came in one chunk."""
        end = len(self.frames) if self.keep is None else self.num_frames
        return self.frames[end - count : end]

    @property
    def latents(self) -> Tensor:
        """What was kept of the latents."""
        return torch.cat(self._latents, dim=2)


@dataclass(frozen=True)
class SavedStream:
    """Where a stream is written: a file below the host's output folder, or the temporary one (`kept` is False).

    generated: it says that a model made it.
    """

    path: Path
    subfolder: str
    kept: bool = True
    generated: bool = True

    @classmethod
    def at(cls, prefix: str, size: Size, generated: bool = True) -> SavedStream:
        """A new name after `prefix`, by the host's rules; errors as `new_path` has them."""
        return cls._new(prefix, folder_paths.get_output_directory(), size, True, generated)

    @classmethod
    def preview(cls, size: Size, generated: bool = True) -> SavedStream | None:
        """A file that the page plays below the node, gone with the host's temporary files; None without a page."""
        if not has_client():
            return None
        return cls._new(PREVIEW_PREFIX, folder_paths.get_temp_directory(), size, False, generated)

    @classmethod
    def _new(cls, prefix: str, root: str, size: Size, kept: bool, generated: bool) -> SavedStream:
        folder, stem, counter, subfolder = new_path(prefix, root, size)
        return cls(folder / f"{stem}_{counter:05}_{SUFFIX}", subfolder, kept, generated)

    def open(self, fps: float) -> VideoFile:
        """The file, to be written chunk by chunk: `.part` until it is whole, `.partial.mp4` where it was cancelled."""
        return VideoFile(self.path, fps, generated=self.generated)

    def shown(self) -> dict[str, Any]:
        """For the page: the video below the node."""
        kind = "output" if self.kept else "temp"
        file = {"filename": self.path.name, "subfolder": self.subfolder, "type": kind}
        return {"images": [file], "animated": (True,)}


def new_path(prefix: str, root: str, size: Size, what: str = "save_as") -> tuple[Path, str, int, str]:
    """Folder, beginning of the name, its number and the subfolder of new files below `root`, by the host's rules.

    what: the input that says the prefix. Raises ValueError for one that `files.path_below` refuses.
    """
    path_below(root, prefix, what)
    folder, stem, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, root, size[1], size[0])
    return Path(folder), stem, counter, subfolder


def file_prefix(save_as: str) -> str:
    """The name of a video without `.mp4`, if it has that; "" for none.

    Raises ValueError for the extension of another kind of video or picture, since only mp4 is written, and for a name
    that `files.checked_name` refuses.
    """
    name = save_as.strip()
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in (*OTHER_VIDEOS, *PICTURES):
        raise ValueError(
            f"save_as is {name!r}, but videos are written as {SUFFIX}, not as {suffix}; leave the extension out"
        )
    name = name[: -len(SUFFIX)] if suffix == SUFFIX else name
    return checked_name(name, "save_as") if name else ""
