"""Small video files of every kind, made with PyAV alone."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    fps: int = 16,
    times: Sequence[int] | None = None,
    pixel_aspect: Fraction | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    faststart: bool = False,
) -> Path:
    """Frames uint8 (h w 3) to a file, nearly without loss. times: of the frames, in 1 / 600 s."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if faststart else {}) as container:
        stream = container.add_stream(codec, rate=fps, options={"crf": "2", "g": "12", "bf": "2", **(options or {})})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv444p" if codec == "libx264" and not options else "yuv420p"
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 600)
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[index], Fraction(1, 600)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def set_matrix(path: Path, a: float, b: float, c: float, d: float) -> Path:
    """Write an mp4's display matrix anew: x' = a x + c y, y' = b x + d y (ISO 14496-12, the track header's matrix)."""
    content = path.read_bytes()
    matrix = content.index(b"tkhd") + 4 + 4 + 20 + 16
    whole = struct.pack(">9i", *(round(v * 65536) for v in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)
    path.write_bytes(content[:matrix] + whole + content[matrix + len(whole) :])
    return path
