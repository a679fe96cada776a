"""A live stream's pictures as JPEG, WebP and H.264: bytes, quality, time to code and to decode. Prints a table.

    PYTHONPATH=. python benchmarks/live_coding.py [--video CLIP.mp4] [--size 832x480]

The clip is cut into pieces of four frames, as the stream sends them. JPEG as it is sent now sets the quality: of WebP
and H.264 the coarsest setting is taken that comes within 0.1 dB of its PSNR, or the finest where none does (4:2:0).
H.264 begins anew with every piece, so that a piece can be dropped for a client that lags, or goes on from the piece
before, so that none can. Chromium decodes what was coded, JPEG by createImageBitmap, H.264 by a VideoDecoder.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.video.frame import PictureType
from numpy.typing import NDArray
from PIL import Image

from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import PHOTO_STUDENT
from motionstream_core.live.audience import JPEG_QUALITY
from motionstream_core.live.open import Opened
from motionstream_core.media.colours import as_yuv, tag_colours
from motionstream_core.streaming.render.fit import fit_picture
from motionstream_core.streaming.render.renderer import open_renderer
from motionstream_core.streaming.session import SessionHooks
from motionstream_core.tracks.drawn.document import Grid

PIECE = 4
FRAMES = 48
NEAR_DB = 0.1
QUALITIES = (98, 96, 94, 92, 90, 85, 80)
CRFS = (2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24)
Pixels = NDArray[np.uint8]


@dataclass
class Coded:
    """A clip in one coding: pieces of coded frames, ms of the processor a frame, the PSNR of what it decodes to."""

    name: str
    pieces: list[list[bytes]] = field(default_factory=list)
    code_ms: float = 0.0
    psnr: float = 0.0

    @property
    def frame_bytes(self) -> float:
        return float(np.mean([len(each) for piece in self.pieces for each in piece]))


def pictures(clip: Pixels, format: str, **options: Any) -> Coded:
    """Every frame a picture by itself."""
    coded, begun = Coded(f"{format}, quality {options['quality']}"), time.process_time()
    for start in range(0, len(clip), PIECE):
        piece = []
        for pixels in clip[start : start + PIECE]:
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, format, **options)
            piece.append(file.getvalue())
        coded.pieces.append(piece)
    coded.code_ms = (time.process_time() - begun) * 1000 / len(clip)
    flat = (each for piece in coded.pieces for each in piece)
    coded.psnr = psnr(clip, (np.asarray(Image.open(io.BytesIO(each)).convert("RGB")) for each in flat))
    return coded


def h264(clip: Pixels, crf: int, each_anew: bool) -> Coded:
    """x264, ultrafast and without delay; a piece begins with a picture that needs none before it, or only the first."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.height, codec.width = clip.shape[1:3]
    codec.pix_fmt, codec.framerate, codec.gop_size = "yuv420p", 16, 100_000
    tag_colours(codec)
    codec.options = {"crf": str(crf), "preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1", "threads": "1"}
    how = "every piece anew" if each_anew else "going on"
    coded, begun = Coded(f"H.264, CRF {crf}, {how}"), time.process_time()
    for number, pixels in enumerate(clip):
        frame = as_yuv(pixels)
        frame.pts = number
        anew = number % PIECE == 0 and (each_anew or number == 0)
        frame.pict_type = PictureType.I if anew else PictureType.NONE
        if number % PIECE == 0:
            coded.pieces.append([])
        coded.pieces[-1].append(b"".join(bytes(packet) for packet in codec.encode(frame)))
    coded.code_ms = (time.process_time() - begun) * 1000 / len(clip)
    decoder: Any = av.CodecContext.create("h264", "r")
    packets = [av.Packet(each) for piece in coded.pieces for each in piece]
    decoded = (frame for packet in [*packets, None] for frame in decoder.decode(packet))
    coded.psnr = psnr(clip, (frame.to_ndarray(format="rgb24") for frame in decoded))
    return coded


def psnr(clip: Pixels, decoded: Iterable[Pixels]) -> float:
    errors = [np.square(a.astype(np.float64) - b).mean() for a, b in zip(clip, decoded, strict=True)]
    return float(10 * np.log10(255**2 / np.mean(errors)))


def as_good(wanted: float, settings: Iterable[int], code: Callable[[int], Coded]) -> Coded:
    """Of settings from fine to coarse the coarsest that is as good, or the finest where none is."""
    best = None
    for setting in settings:
        coded = code(setting)
        if best is not None and coded.psnr < wanted - NEAR_DB:
            break
        best = coded
    assert best is not None
    return best


def codings(clip: Pixels) -> list[Coded]:
    jpeg = pictures(clip, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return [
        jpeg,
        as_good(jpeg.psnr, QUALITIES, lambda q: pictures(clip, "WEBP", quality=q, method=0)),
        as_good(jpeg.psnr, CRFS, lambda crf: h264(clip, crf, True)),
        as_good(jpeg.psnr, CRFS, lambda crf: h264(clip, crf, False)),
    ]


def decoded_ms(codings: list[Coded]) -> list[str]:
    """ms a frame in Chromium, from a whole piece's coming to its last picture; or why it decodes none."""
    told = [
        {"name": each.name, "pieces": [[base64.b64encode(data).decode() for data in piece] for piece in each.pieces]}
        for each in codings
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pieces.json"
        file.write_text(json.dumps({"codings": told}))
        script = str(Path(__file__).with_name("decode_in_browser.js"))
        ran = subprocess.run(["node", script, str(file)], check=True, capture_output=True, text=True)
    return json.loads(ran.stdout)


def streamed() -> Pixels:
    """The bundled model's frames of a drag."""
    opened = Opened(open_renderer(PHOTO_STUDENT), (128, 128), chunk_frames=1, steps=1)
    session = opened.session(opened.fitted(Image.fromarray(drawn_example(2).image)), "", SessionHooks())
    frames: list[torch.Tensor] = []
    for number, chunk in enumerate(session.run()):
        frames += list(chunk.frames)
        if len(frames) > FRAMES:
            break
        grid = None if number else Grid(5, 5, 6.0, 6.0)
        session.add_samples(0, [(40.0 + 4 * number, 44.0 + 3 * number)], grid)
    return (torch.stack(frames[1 : 1 + FRAMES]) * 255 + 0.5).to(torch.uint8).numpy()


def filmed(path: Path, size: tuple[int, int]) -> Pixels:
    """A clip's first frames at a size (height, width), cropped about their middle."""
    with av.open(str(path)) as file:
        frames = [
            frame.to_ndarray(format="rgb24") for _, frame in zip(range(FRAMES), file.decode(video=0), strict=False)
        ]
    whole = len(frames) // PIECE * PIECE
    return np.stack([fit_picture(Image.fromarray(each), *size) for each in frames[:whole]])


def main() -> None:
    parser = argparse.ArgumentParser(description="Codings of a live stream's pictures")
    parser.add_argument("--video", type=Path, help="a clip for the larger size")
    parser.add_argument("--size", default="832x480")
    args = parser.parse_args()
    torch.set_num_threads(1)
    width, height = map(int, args.size.split("x"))
    clips = [("128x128, the bundled model", streamed())]
    if args.video is not None:
        clips.append((f"{args.size}, {args.video.name}", filmed(args.video, (height, width))))
    print("| frames | coding | KB a frame | PSNR | to code, ms of the processor a frame | to decode, ms a frame |")
    print("|---|---|---|---|---|---|")
    for name, clip in clips:
        rows = codings(clip)
        for coded, decode in zip(rows, decoded_ms(rows), strict=True):
            print(
                f"| {name} | {coded.name} | {coded.frame_bytes / 1000:.1f} | {coded.psnr:.1f} dB | "
                f"{coded.code_ms:.2f} | {decode} |"
            )


if __name__ == "__main__":
    main()
