"""A VIDEO or an IMAGE batch as frames that are read a window at a time, with their times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from comfy_api.latest import InputImpl
from torch import Tensor

from ...motionstream_core.media.display import Display
from ...motionstream_core.media.frames import ArrayFrames, TimedFrames, at_rate
from ...motionstream_core.media.video import VideoFrames
from ..frame_fit import opaque

NO_TIMES = "it came as frames of one rate; where they were recorded unevenly, their times are not known here"
UNEVEN = "recorded at uneven times, and read by its own time stamps"


@dataclass(frozen=True)
class Reference:
    """A clip that is read. told: what was done to its frames, and how their times are known; "" where nothing was."""

    frames: TimedFrames
    told: str = ""

    def mask_as_shown(self, mask: Tensor) -> Tensor:
        """A mask (t h w) that lies on the host's own frames of the clip, on the frames as displayed.

        The two differ where the file crops or mirrors its frames, which the host leaves out. The size may be another.
        """
        if not isinstance(self.frames, VideoFrames):
            return mask
        display = self.frames.display
        if not (display.mirrored or display.crop):
            return mask
        stored = np.rot90(mask.cpu().numpy(), -_host_turns(display), axes=(1, 2))
        return torch.from_numpy(np.stack([display.turned(display.cropped(each)) for each in stored]))


def footage(video: Any, images: Tensor | None, fps: float) -> Reference:
    """Whichever of the two is linked; `fps` is what an IMAGE batch is taken for.

    A video that is a file is decoded as it is read, by its own time stamps and as displayed, trimmed as the host's
    nodes say, and never stands whole in memory; any other comes from the host, whole, as frames of one rate. Raises
    ValueError where both or none are linked, and for an empty one.
    """
    if (video is None) == (images is None):
        raise ValueError("connect either video or images" + (", not both" if video is not None else ""))
    if images is not None:
        return Reference(_array(images, "images", fps))
    if isinstance(video, InputImpl.VideoFromFile):
        frames = _file(video)
        return Reference(frames, _told(frames))
    components = video.get_components()
    made_here = isinstance(video, getattr(InputImpl, "VideoFromComponents", ()))
    frames = _array(components.images, "video", float(components.frame_rate))
    return Reference(frames, "" if made_here else NO_TIMES)


def steady_images(video: Any) -> tuple[Tensor, float]:
    """A VIDEO's frames (t h w 3) in 0..1 and their rate: of a file as displayed, at an even rate, as tracks of it are.

    All of it stands in memory.
    """
    if not isinstance(video, InputImpl.VideoFromFile):
        components = video.get_components()
        return components.images, float(components.frame_rate)
    frames = _file(video)
    even = at_rate(frames)
    return torch.from_numpy(even.read(0, even.num_frames)).float() / 255, frames.fps


def _file(video: Any) -> VideoFrames:
    start_s, duration_s = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))()
    return VideoFrames(video.get_stream_source(), start_s, duration_s)


def _told(frames: VideoFrames) -> str:
    told = ([] if frames.is_even else [UNEVEN]) + frames.display.told()
    if frames.display.pixel_aspect != 1:
        told.append(
            f"so it is shown with {frames.width} x {frames.height} px, which the tracks refer to, and not as "
            f"stored, as ComfyUI's own frames of it are"
        )
    if frames.display.crop:
        told.append(
            f"so it is shown with {frames.width} x {frames.height} px, which the tracks refer to; ComfyUI's own frames "
            "of it are not cropped, and a mask is taken to lie on those"
        )
    if frames.display.mirrored:
        told.append("which ComfyUI's own frames of it are not: a mask is taken to lie on those")
    return ", ".join(told)


def _host_turns(display: Display) -> int:
    """Quarter turns counterclockwise by which the host turns stored frames: it reads an angle, and no mirroring."""
    if display.transposed:
        return 1 if display.flipped_y else -1
    return 2 if display.flipped_x else 0


def _array(images: Tensor, name: str, fps: float) -> ArrayFrames:
    if images.ndim != 4 or images.shape[3] not in (3, 4) or not images.numel():
        raise ValueError(f"{name} has shape {tuple(images.shape)}; it must be frames (t h w 3)")
    return ArrayFrames(opaque(images).detach().cpu().float().numpy(), fps)
