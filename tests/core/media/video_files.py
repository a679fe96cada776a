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


def add_aperture(path: Path, fractions: Sequence[tuple[int, int]]) -> Path:
    """Add a clean aperture to an mp4's first sample entry: width, height, and how far to the right and down its middle
    is, each as a fraction (ISO 14496-12, `clap`)."""
    content = bytearray(path.read_bytes())
    box = struct.pack(">I4s", 40, b"clap") + b"".join(struct.pack(">iI", *each) for each in fractions)
    outer = [content.index(name) - 4 for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")]
    entry = outer[-1] + 16
    end = entry + struct.unpack_from(">I", content, entry)[0]
    content[end:end] = box
    for place in (*outer, entry):
        struct.pack_into(">I", content, place, struct.unpack_from(">I", content, place)[0] + len(box))
    if content.index(b"mdat") > end:  # whose places the chunks' table holds
        table = content.index(b"stco") + 12
        struct.pack_into(">I", content, table, struct.unpack_from(">I", content, table)[0] + len(box))
    path.write_bytes(content)
    return path


def add_pixel_crop(path: Path, **edges: int) -> Path:
    """Add PixelCrop elements to a Matroska file's video (RFC 9559), and its length to all that it lies in."""
    ids = {"left": 0x54CC, "top": 0x54BB, "right": 0x54DD, "bottom": 0x54AA}
    content = bytearray(path.read_bytes())
    new = b"".join(struct.pack(">HBH", ids[edge], 0x82, px) for edge, px in edges.items())
    place, sizes = 0, []
    for wanted in (0x18538067, 0x1654AE6B, 0xAE, 0xE0):
        while True:
            id_end = place + 9 - content[place].bit_length()
            length = 9 - content[id_end].bit_length()
            if int.from_bytes(content[place:id_end], "big") == wanted:
                break
            size = int.from_bytes(content[id_end : id_end + length], "big") - (1 << 7 * length)
            place = id_end + length + size
        sizes.append((id_end, length))
        place = id_end + length
    content[place:place] = new
    for start, length in sizes:
        size = int.from_bytes(content[start : start + length], "big") + len(new)
        content[start : start + length] = size.to_bytes(length, "big")
    path.write_bytes(content)
    return path


def set_matrix(path: Path, a: float, b: float, c: float, d: float) -> Path:
    """Write an mp4's display matrix anew: x' = a x + c y, y' = b x + d y (ISO 14496-12, the track header's matrix)."""
    content = path.read_bytes()
    matrix = content.index(b"tkhd") + 4 + 4 + 20 + 16
    whole = struct.pack(">9i", *(round(v * 65536) for v in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)
    path.write_bytes(content[:matrix] + whole + content[matrix + len(whole) :])
    return path
