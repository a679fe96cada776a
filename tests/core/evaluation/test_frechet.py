"""The Fréchet distance against its closed form, on sets whose mean and covariance are known to the last digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from motionstream_core.__main__ import main
from motionstream_core.evaluation.command import export_clips
from motionstream_core.evaluation.frechet import frechet_distance, load_features, video_features
from motionstream_core.media.video import VideoFrames

pytest.importorskip("torchmetrics", reason="the distance is its")
CPU = torch.device("cpu")


def cross(middle: tuple[float, float], sides: tuple[float, float]) -> Tensor:
    """Four points; mean `middle`, covariance diagonal, 4/3 of `sides` squared."""
    signs = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    return torch.tensor(middle) + signs * torch.tensor(sides)


def test_one_dimension_by_hand() -> None:
    """Means 1 and 13, variances 2 and 18: 144 + (sqrt 18 - sqrt 2)^2 = 152."""
    one, other = torch.tensor([[0.0], [2.0]]), torch.tensor([[10.0], [16.0]])
    assert frechet_distance(one, other) == pytest.approx(152, rel=1e-6)


def test_two_dimensions_by_the_closed_form_and_in_any_turn() -> None:
    one, other = cross((1, 2), (3, 0.5)), cross((-2, 6), (1, 2))
    expected = 9 + 16 + 4 / 3 * ((3 - 1) ** 2 + (0.5 - 2) ** 2)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    assert frechet_distance(one @ turn, other @ turn) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="two clips"):
        frechet_distance(one[:1], other)


class MeanColor(nn.Module):
    """Takes what I3D's file takes."""

    def forward(self, x: Tensor, rescale: bool, resize: bool, return_features: bool) -> Tensor:
        assert rescale and resize and return_features
        return x.mean(dim=(2, 3, 4))


def test_the_users_network_sees_a_video_in_0_to_255(tmp_path: Path) -> None:
    torch.jit.script(MeanColor()).save(str(tmp_path / "net.pt"))
    network = load_features(tmp_path / "net.pt")
    video = np.zeros((5, 8, 6, 3), np.uint8)
    video[..., 0], video[:, :4, :, 1] = 200, 100
    assert video_features(network, video, CPU).tolist() == pytest.approx([200, 50, 0])


@pytest.mark.thorough
def test_the_command_judges_the_set_by_the_videos_that_it_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Colours of whole videos as features: their distance by numpy, from the kept files."""
    pytest.importorskip("cv2", reason="the tracker without weights")
    torch.jit.script(MeanColor()).save(str(tmp_path / "net.pt"))
    export_clips(tmp_path / "clips", 3, 13)
    given = ["evaluate", str(tmp_path / "clips"), "--out", str(tmp_path / "out"), "--device", "cpu", "--grid", "6"]
    assert main([*given, "--variants", "none", "--lpips", "off", "--fvd", str(tmp_path / "net.pt")]) == 0
    made, true = (
        np.stack([VideoFrames(path).read(0, 13).mean((0, 1, 2)) for path in sorted((tmp_path / "out").rglob(name))])
        for name in ("made.mp4", "true.mp4")
    )
    covariances = np.cov(made.T) @ np.cov(true.T)
    roots = np.real(np.sqrt(np.linalg.eigvals(covariances).astype(complex))).sum()
    apart = ((made.mean(0) - true.mean(0)) ** 2).sum()
    expected = apart + np.trace(np.cov(made.T)) + np.trace(np.cov(true.T)) - 2 * roots
    said = capsys.readouterr().out
    assert f"FVD {expected:.2f} (by net.pt)" in said
    assert f"FVD {expected:.2f} (by net.pt)" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_features(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no network")
    with pytest.raises(ValueError, match="no TorchScript file"):
        load_features(tmp_path / "text.pt")


def test_what_cannot_be_compared_is_told_before_anything_is_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.jit.script(MeanColor()).save(str(tmp_path / "net.pt"))
    (tmp_path / "text.pt").write_text("no network")
    export_clips(tmp_path / "clips", 1, 13)
    given = ["evaluate", str(tmp_path / "clips"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*given, "--fvd", str(tmp_path / "net.pt")]) == 2
    assert "two clips at least, and here is 1" in capsys.readouterr().err
    assert main([*given, "--fvd", str(tmp_path / "text.pt")]) == 2
    assert "no TorchScript file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
