"""Progress and previews through core's own progress bar, without ever making the sampler wait for a picture."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import TracebackType

import comfy.model_management as mm
import comfy.utils
import torch
from PIL import Image
from server import PromptServer
from torch import Tensor

MAX_SIDE_PX = 512
MIN_INTERVAL_S = 0.1
MAX_BACKLOG = 16  # messages that the server has not sent yet; beyond it the line is slow, and previews only add to it


def has_client() -> bool:
    """Whether a browser waits for this prompt: without one nothing is drawn and nothing sent."""
    return getattr(PromptServer.instance, "client_id", None) is not None


class PreviewProgress:
    """A progress bar with previews; a context manager around a node's sampling loop.

    `step`, and leaving the context at its end, raise the host's interrupt. All of it is called from the node's own
    thread, because the host takes the interrupt back once it is raised; another thread only makes pictures of frames,
    newest first.
    """

    def __init__(self, total: int) -> None:
        self._bar = comfy.utils.ProgressBar(total)
        self._total = total
        self._pictures = _PictureThread()
        self._last_shown = -MIN_INTERVAL_S
        self._clip: _Clip | None = None

    def step(self, value: int) -> None:
        """`value` of the total is done. Raises the host's InterruptProcessingException where the user cancelled."""
        mm.throw_exception_if_processing_interrupted()
        self._show_whose_turn_it_is()
        self._bar.update_absolute(value, self._total, self._picture())

    def wants_picture(self) -> bool:
        """Whether a frame offered now would be shown: asked before making one costs anything."""
        return time.monotonic() - self._last_shown >= MIN_INTERVAL_S and has_client() and _backlog() <= MAX_BACKLOG

    def show(self, frame: Tensor) -> None:
        """Offer a frame (h w 3) in [0, 1] on the CPU; it goes out with one of the next steps, or never."""
        if self.wants_picture():
            self._last_shown = time.monotonic()
            self._pictures.submit(frame)

    def play(self, frames: Tensor, fps: float) -> None:
        """Offer frames (t h w 3) in [0, 1] on the CPU that are to be seen `fps` a second.

        Every step shows the one whose turn it is; a newer clip takes the place of what was not seen of an older one.
        """
        self._clip = _Clip(frames, fps, time.monotonic())
        self._show_whose_turn_it_is()

    def _show_whose_turn_it_is(self) -> None:
        if self._clip is not None and (index := self._clip.turn(time.monotonic())) is not None and self.wants_picture():
            self._clip.seen = index
            self.show(self._clip.frames[index])

    def __enter__(self) -> PreviewProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._clip is not None and has_client():
            self._pictures.submit(self._clip.frames[-1])
        self._pictures.close()
        if kind is None:
            self._bar.update_absolute(self._total, self._total, self._picture())

    def _picture(self) -> tuple[str, Image.Image, int] | None:
        image = self._pictures.take()
        if image is None:
            return None
        return "JPEG", image, max(image.size)  # the host would enlarge a picture to a larger number


@dataclass
class _Clip:
    """Frames (t h w 3) that began to be shown at `begun` seconds; `seen` is the last that was."""

    frames: Tensor
    fps: float
    begun: float
    seen: int = -1

    def turn(self, now: float) -> int | None:
        """The frame to be seen at `now`; the last one stays. None where it has been seen."""
        index = min(int((now - self.begun) * self.fps), len(self.frames) - 1)
        return None if index == self.seen else index


def _backlog() -> int:
    messages = getattr(PromptServer.instance, "messages", None)
    return 0 if messages is None else messages.qsize()


class _PictureThread:
    """Makes pictures of frames; holds at most one frame that waits and one picture that is ready, always the newest."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._frame: Tensor | None = None
        self._image: Image.Image | None = None
        self._closed = False

    def submit(self, frame: Tensor) -> None:
        with self._changed:
            self._frame = frame
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="motionstream-preview", daemon=True)
            self._thread.start()

    def take(self) -> Image.Image | None:
        with self._changed:
            image, self._image = self._image, None
            return image

    def close(self) -> None:
        """End the thread once the newest frame is a picture."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._frame is not None or self._closed)
                frame, self._frame = self._frame, None
            if frame is None:
                return
            image = _to_picture(frame)
            with self._changed:
                self._image = image


def _to_picture(frame: Tensor) -> Image.Image:
    with torch.inference_mode():
        pixels = (frame.float().clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()
    image = Image.fromarray(pixels)
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    return image
