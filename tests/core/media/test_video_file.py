"""mp4 files: what goes in comes out, and an interrupted one never bears the final name."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from motionstream_core.media.video_file import VideoFile

av = pytest.importorskip("av", reason="needs PyAV")


def smooth(num_frames: int, height: int = 36, width: int = 52) -> Tensor:
    """Frames (t h w 3) with a slow gradient in red and green; blue tells the frame's number."""
    y, x, t = torch.meshgrid(
        torch.linspace(0, 1, height), torch.linspace(0, 1, width), torch.linspace(0.1, 0.9, num_frames), indexing="ij"
    )
    return torch.stack([x, y, t], -1).permute(2, 0, 1, 3)


def read(path: Path) -> tuple[np.ndarray, Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
        assert stream.average_rate is not None
        return frames, stream.average_rate


@pytest.mark.parametrize(
    ("fps", "rate"),
    [(16.0, Fraction(16)), (24, Fraction(24)), (23.976, Fraction(24000, 1001)), (12.5, Fraction(25, 2))],
)
def test_frames_size_and_rate_survive(tmp_path: Path, fps: float, rate: Fraction) -> None:
    path = tmp_path / "deep" / "folder" / "clip.mp4"
    frames = smooth(14)
    with VideoFile(path, fps) as file:
        for part in frames.split([1, 4, 9]):
            file.push(part)
            assert not path.exists()
        assert file.num_frames == 14
    assert [each.name for each in path.parent.iterdir()] == ["clip.mp4"]
    decoded, found = read(path)
    assert decoded.shape == (14, 36, 52, 3)
    assert float(found) == pytest.approx(float(rate), rel=1e-4)
    assert np.abs(decoded / 255 - frames.numpy()).mean() < 0.02
    assert (np.diff(decoded[..., 2].mean((1, 2))) > 0).all()  # in order


def test_values_outside_the_range_are_clamped(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    frames = torch.full((2, 16, 16, 3), 1.7, dtype=torch.float16)
    frames[1] = -0.4
    with VideoFile(path, 16) as file:
        file.push(frames.requires_grad_())
    decoded, _ = read(path)
    assert decoded[0].min() > 250 and decoded[1].max() < 5


def test_what_was_written_before_an_error_stays_playable_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with pytest.raises(KeyboardInterrupt), VideoFile(path, 16) as file:
        file.push(smooth(5))
        raise KeyboardInterrupt
    assert [each.name for each in tmp_path.iterdir()] == ["clip.partial.mp4"]
    decoded, rate = read(tmp_path / "clip.partial.mp4")
    assert decoded.shape == (5, 36, 52, 3) and rate == 16


def test_an_error_leaves_a_former_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with VideoFile(path, 16) as file:
        file.push(smooth(3))
    content = path.read_bytes()
    with pytest.raises(RuntimeError, match="stop"), VideoFile(path, 16) as file:
        file.push(smooth(6))
        raise RuntimeError("stop")
    assert path.read_bytes() == content
    with VideoFile(path, 16) as file:
        file.push(smooth(4))
    assert len(read(path)[0]) == 4  # and a finished one replaces it


@pytest.mark.parametrize(("height", "width"), [(35, 52), (36, 51)])
def test_odd_sizes_are_refused_and_leave_nothing(tmp_path: Path, height: int, width: int) -> None:
    with (
        pytest.raises(ValueError, match=f"even sides, got {width} x {height} px"),
        VideoFile(tmp_path / "clip.mp4", 16) as file,
    ):
        file.push(smooth(2, height, width))
    assert list(tmp_path.iterdir()) == []


def test_a_video_without_frames_leaves_no_file(tmp_path: Path) -> None:
    with VideoFile(tmp_path / "clip.mp4", 16):
        pass
    assert list(tmp_path.iterdir()) == []


def test_without_pyav_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match="needs PyAV; pip install av"):
        VideoFile(tmp_path / "clip.mp4", 16)
