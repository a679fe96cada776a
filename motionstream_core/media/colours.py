"""RGB as the colours of written video: BT.709's matrix, sRGB's curve, the limited range, and tags that say so."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BT709 = 1
"""BT.709's matrix in PyAV's and FFmpeg's numbers."""


def as_yuv(image: NDArray[np.uint8]) -> Any:
    """RGB (h w 3) as a yuv420p frame of PyAV's by BT.709, tagged so."""
    import av
    from av.video.reformatter import Interpolation

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    exact = Interpolation.BICUBIC | Interpolation.ACCURATE_RND
    made = frame.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range="MPEG", interpolation=exact)
    tag_colours(made)
    return made


def tag_colours(target: Any) -> None:
    """Say of a frame or an encoder that it holds sRGB's colours by BT.709's matrix, in the limited range."""
    from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

    target.color_primaries, target.color_trc = ColorPrimaries.BT709, ColorTrc.IEC61966_2_1
    target.colorspace, target.color_range = BT709, ColorRange.MPEG
