"""Previews cost nothing without a browser, never queue up, and the interrupt passes through them."""

from __future__ import annotations

import threading
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch

Pack = Callable[[str], Any]


@pytest.fixture
def preview(pack: Pack) -> Any:
    return pack("nodes.host.preview")


def preview_threads() -> int:
    return sum(thread.name == "motionstream-preview" for thread in threading.enumerate())


def test_without_a_client_no_picture_is_made(preview: Any, host: Any) -> None:
    with preview.PreviewProgress(3) as progress:
        for value in range(3):
            progress.show(torch.rand(8, 8, 3))
            progress.step(value + 1)
        assert preview_threads() == 0
    assert [picture for _, picture in host.updates] == [None] * 4


def test_the_newest_frame_goes_out(preview: Any, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host.client_id = "browser"
    monkeypatch.setattr(preview, "MIN_INTERVAL_S", 0.0)
    with preview.PreviewProgress(1000) as progress:
        for value in range(1000):
            progress.show(torch.full((4, 4, 3), value / 1000))
    assert preview_threads() == 0
    pictures = [picture for _, picture in host.updates if picture is not None]
    assert len(pictures) == 1
    kind, image, max_side = pictures[0]
    assert (kind, max_side) == ("JPEG", 4)
    assert image.getpixel((0, 0)) == (255, 255, 255)


def test_pictures_are_small(preview: Any, host: Any) -> None:
    host.client_id = "browser"
    with preview.PreviewProgress(1) as progress:
        progress.show(torch.rand(600, 1200, 3))
    assert host.updates[-1][1][1].size == (512, 256)


def test_pictures_keep_their_distance_in_time(preview: Any, host: Any) -> None:
    host.client_id = "browser"
    with preview.PreviewProgress(9) as progress:
        assert progress.wants_picture()
        progress.show(torch.rand(4, 4, 3))
        assert not progress.wants_picture()


def test_a_chunk_plays_at_its_frames_per_second(preview: Any, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that come at 0, 0.13, 0.26, ... s see the frames of those times; at the end stands the last one."""
    host.client_id = "browser"
    now = [100.0]
    monkeypatch.setattr(preview, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    seen: list[int] = []
    monkeypatch.setattr(
        preview._PictureThread, "submit", lambda _, frame: seen.append(round(float(frame.mean()) * 100))
    )
    clip = (torch.arange(12) / 100).reshape(12, 1, 1, 1).expand(12, 4, 4, 3)
    with preview.PreviewProgress(9) as progress:
        progress.play(clip, fps=10.0)
        for step in range(5):
            now[0] += 0.13
            progress.step(step)
        progress.play(clip + 0.5, fps=10.0)  # faster than it is seen: the newer chunk is
        now[0] += 0.31
        progress.step(6)
    assert seen == [0, 1, 2, 3, 5, 6, 53, 61]


def test_a_slow_line_gets_no_more_pictures(preview: Any, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host.client_id = "browser"
    monkeypatch.setattr(preview, "_backlog", lambda: preview.MAX_BACKLOG + 1)
    with preview.PreviewProgress(9) as progress:
        assert not progress.wants_picture()


def test_an_interrupt_ends_the_thread_and_passes(preview: Any, host: Any) -> None:
    host.client_id = "browser"
    with pytest.raises(BaseException, match=r"^$") as caught, preview.PreviewProgress(9) as progress:
        progress.show(torch.rand(4, 4, 3))
        host.interrupted = True
        progress.step(1)
    assert type(caught.value).__name__ == "Interrupt"
    assert preview_threads() == 0
