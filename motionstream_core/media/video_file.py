"""Frames to an mp4 as they come: the file appears under its name when it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import torch
from torch import Tensor

from ..files import NewFile
from .colours import as_yuv, tag_colours
from .credentials import Certificate, comment, mark_mp4

MOST_DENOMINATOR = 1001


class VideoFile:
    """Writes H.264 frame by frame through PyAV; a context manager.

    Colours are those of sRGB by BT.709's matrix in the limited range, and the file says so: what players, editors and
    ComfyUI's own *Save Video* take HD video for. Frames go to `<path>.part`; leaving the context normally renames it,
    leaving by an exception keeps what was written so far under `<stem>.partial<suffix>`; what a full disk leaves
    unreadable is removed. generated: a model made it, and the file says so (`credentials`). Raises ImportError where
    PyAV (package `av`) is missing, FileExistsError where another process writes the same file, and as
    `Certificate.of_environment` does.
    """

    def __init__(self, path: str | Path, fps: float, crf: int = 14, *, generated: bool = True) -> None:
        try:
            import av
        except ImportError as error:
            raise ImportError("writing mp4 needs PyAV; pip install av") from error
        self.path, self._generated = Path(path), generated
        self._certificate = Certificate.of_environment() if generated else None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._new = NewFile(self.path)
        self._fps, self._crf = frame_rate(fps), crf
        # an open file: the muxer would cut a name at its first NUL
        self._sink = _Sink(self._new.file)
        self._container = av.open(self._sink, "w", format="mp4")
        if generated:
            self._container.metadata["comment"] = comment()
        self._stream = None
        self.num_frames = 0

    def push(self, frames: Tensor) -> None:
        """Append frames (t h w 3) in [0, 1]. Raises ValueError for an odd height or width (yuv420p needs even ones)."""
        pixels = (frames.detach().float().clamp(0, 1) * 255 + 0.5).to("cpu", torch.uint8).numpy()
        if self._stream is None:
            height, width = pixels.shape[1:3]
            check_even(height, width)
            self._stream = self._container.add_stream("libx264", rate=self._fps, options={"crf": str(self._crf)})
            self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
            tag_colours(self._stream.codec_context)
        for image in pixels:
            self._container.mux(self._stream.encode(as_yuv(image)))
            self.num_frames += 1

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode())
            self._container.close()
            if self._sink.error is not None:
                raise self._sink.error
            if self.num_frames == 0:
                self._new.drop()
                return
            if self._generated:
                mark_mp4(self._new.file)
            partial = self.path.with_name(f"{self.path.stem}.partial{self.path.suffix}")
            written = self._new.finish(self.path if kind is None else partial)
            if self._certificate is not None:
                self._certificate.sign(written)
        except BaseException:
            self._new.drop()
            if error is None:
                raise


class _Sink:
    """A file for PyAV that fails once. error: how; what comes after it is swallowed.

    The muxer goes on after an error, and of several in one call PyAV raises the last and prints the others' tracebacks.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        return self._once(lambda: self._file.write(data), len(data))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._once(lambda: self._file.seek(offset, whence), offset)

    def tell(self) -> int:
        return self._once(self._file.tell, 0)

    def seekable(self) -> bool:
        return True

    def _once(self, call: Callable[[], int], otherwise: int) -> int:
        if self.error is not None:
            return otherwise
        try:
            return call()
        except OSError as error:
            self.error = error
            raise


def frame_rate(fps: float) -> Fraction:
    """Frames per second as a file states them: 23.976 is 24000 / 1001."""
    return Fraction(fps).limit_denominator(MOST_DENOMINATOR)


def check_even(height: int, width: int) -> None:
    """Raises ValueError for an odd side: the colours of mp4 video are stored for two px at once."""
    if height % 2 or width % 2:
        even = f"{width + width % 2} x {height + height % 2}"
        raise ValueError(f"an mp4 frame needs even sides, got {width} x {height} px; {even} would do")
