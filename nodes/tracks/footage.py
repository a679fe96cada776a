"""A VIDEO or an IMAGE batch as frames that are read a window at a time."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import InputImpl
from torch import Tensor

from ...motionstream_core.tracks.extract.frames import ArrayFrames, FrameSource, VideoFrames


def footage(video: Any, images: Tensor | None, fps: float) -> tuple[FrameSource, float]:
    """(frames, frames per second) of whichever of the two is linked; `fps` is what an IMAGE batch is taken for.

    A video that is a file, untrimmed, is decoded as it is read and never stands whole in memory; any other comes from
    the host, whole. Raises ValueError where both or none are linked, and for an empty one.
    """
    if (video is None) == (images is None):
        raise ValueError("connect either video or images" + (", not both" if video is not None else ""))
    if images is not None:
        return _array(images, "images"), fps
    if isinstance(video, InputImpl.VideoFromFile) and not any(getattr(video, "get_active_trim_window", tuple)()):
        source = VideoFrames(video.get_stream_source())
        return source, source.fps
    components = video.get_components()
    return _array(components.images, "video"), float(components.frame_rate)


def _array(images: Tensor, name: str) -> ArrayFrames:
    if images.ndim != 4 or images.shape[3] not in (3, 4) or not images.numel():
        raise ValueError(f"{name} has shape {tuple(images.shape)}; it must be frames (t h w 3)")
    return ArrayFrames(images[..., :3].detach().cpu().float().numpy())
