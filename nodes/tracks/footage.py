"""A VIDEO or an IMAGE batch as frames that are read a window at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comfy_api.latest import InputImpl
from torch import Tensor

from ...motionstream_core.tracks.extract.frames import ArrayFrames, FrameSource, VideoFrames

NO_TIMES = "it came as frames of one rate; where they were recorded unevenly, their times are not known here"
UNEVEN = "recorded at uneven times, and read by its own time stamps"


@dataclass(frozen=True)
class Reference:
    """A clip that is read. fps: of its frames; told: how its times are known, "" where there is nothing to say."""

    frames: FrameSource
    fps: float
    told: str = ""


def footage(video: Any, images: Tensor | None, fps: float) -> Reference:
    """Whichever of the two is linked; `fps` is what an IMAGE batch is taken for.

    A video that is a file is decoded as it is read, by its own time stamps, trimmed as the host's nodes say, and never
    stands whole in memory; any other comes from the host, whole, as frames of one rate. Raises ValueError where both or
    none are linked, and for an empty one.
    """
    if (video is None) == (images is None):
        raise ValueError("connect either video or images" + (", not both" if video is not None else ""))
    if images is not None:
        return Reference(_array(images, "images"), fps)
    if isinstance(video, InputImpl.VideoFromFile):
        start_s, duration_s = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))()
        frames = VideoFrames(video.get_stream_source(), start_s, duration_s)
        return Reference(frames, frames.fps, "" if frames.is_even else UNEVEN)
    components = video.get_components()
    made_here = isinstance(video, getattr(InputImpl, "VideoFromComponents", ()))
    frames = _array(components.images, "video")
    return Reference(frames, float(components.frame_rate), "" if made_here else NO_TIMES)


def _array(images: Tensor, name: str) -> ArrayFrames:
    if images.ndim != 4 or images.shape[3] not in (3, 4) or not images.numel():
        raise ValueError(f"{name} has shape {tuple(images.shape)}; it must be frames (t h w 3)")
    return ArrayFrames(images[..., :3].detach().cpu().float().numpy())
