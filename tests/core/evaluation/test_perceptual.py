"""LPIPS: against a reference in torchvision's own layer numbers, against the package, and without its weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from motionstream_core.evaluation import perceptual
from motionstream_core.evaluation.perceptual import Lpips, load_lpips

# torchvision's VGG-16: numbers in `features` with their output channels; 4, 9, 16, 23 are poolings.
CONVOLUTIONS = {
    0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, 17: 512, 19: 512, 21: 512, 24: 512, 26: 512, 28: 512,
}  # fmt: skip
POOLINGS = (4, 9, 16, 23)
TAPS = (2, 7, 14, 21, 28)  # relu1_2, relu2_2, relu3_3, relu4_3, relu5_3


def random_weights(linear: bool = True) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    weights, width = {}, 3
    for number, out in CONVOLUTIONS.items():
        scale = (2 / (9 * width)) ** 0.5
        weights[f"features.{number}.weight"] = torch.randn(out, width, 3, 3, generator=generator) * scale
        weights[f"features.{number}.bias"] = torch.randn(out, generator=generator) * 0.1
        width = out
    weights["classifier.0.weight"] = torch.zeros(2, 2)  # the files hold it too
    if linear:
        for index, number in enumerate(TAPS):
            weights[f"lin{index}.model.1.weight"] = torch.rand(1, CONVOLUTIONS[number], 1, 1, generator=generator)
    return weights


def reference(weights: dict[str, Tensor], one: Tensor, other: Tensor) -> Tensor:
    """Distance of two images (3 h w) in [0, 1], layer by layer as the paper's equation 1 has it."""
    total = torch.zeros(())
    features = []
    for image in (one, other):
        shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
        x = ((image * 2 - 1) - shift[:, None, None]) / scale[:, None, None]
        taken = []
        for number in range(29):
            if number in POOLINGS:
                x = F.max_pool2d(x[None], 2)[0]
            elif number in CONVOLUTIONS:
                x = F.conv2d(x[None], weights[f"features.{number}.weight"], weights[f"features.{number}.bias"], 1, 1)[0]
                x = x.clamp(min=0)
                if number in TAPS:
                    taken.append(x)
        features.append(taken)
    for index, (a, b) in enumerate(zip(*features, strict=True)):
        a, b = a / a.square().sum(0).sqrt(), b / b.square().sum(0).sqrt()
        total = total + (weights[f"lin{index}.model.1.weight"][0] * (a - b).square()).sum(0).mean()
    return total


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    save_file(random_weights(), str(tmp_path / "vgg.safetensors"))
    return tmp_path / "vgg.safetensors"


@pytest.mark.thorough
def test_the_distance_is_the_papers(weights_file: Path) -> None:
    torch.manual_seed(1)
    frames, target = torch.rand(2, 3, 2, 32, 48), torch.rand(2, 3, 2, 32, 48)
    expected = [
        torch.stack([reference(random_weights(), frames[b, :, t], target[b, :, t]) for t in range(2)]).mean()
        for b in range(2)
    ]
    lpips = load_lpips(weights_file)
    torch.testing.assert_close(lpips(frames, target), torch.stack(expected), rtol=1e-4, atol=1e-5)
    assert lpips(frames, frames).abs().max() == 0
    mixed = frames.lerp(target, 0.3)
    assert (lpips(mixed, frames) < lpips(target, frames)).all()


def test_gradients_reach_the_frames_alone(weights_file: Path) -> None:
    lpips = load_lpips(weights_file)
    frames = torch.rand(1, 3, 1, 16, 16, requires_grad=True)
    lpips(frames, torch.rand(1, 3, 1, 16, 16)).sum().backward()
    assert frames.grad is not None and frames.grad.isfinite().all() and frames.grad.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in lpips.parameters())


def test_the_distance_is_that_of_the_package(tmp_path: Path) -> None:
    package = pytest.importorskip("lpips")
    pytest.importorskip("torchvision")
    theirs = package.LPIPS(net="vgg", pnet_rand=True, verbose=False).eval()
    weights = random_weights(linear=False)
    with torch.no_grad():
        for number in CONVOLUTIONS:
            stage = next(stage for stage in range(1, 6) if number <= TAPS[stage - 1])
            layer = getattr(getattr(theirs.net, f"slice{stage}"), str(number))
            layer.weight.copy_(weights[f"features.{number}.weight"])
            layer.bias.copy_(weights[f"features.{number}.bias"])
    save_file(weights, str(tmp_path / "vgg.safetensors"))  # the five layers are the package's
    frames, target = torch.rand(1, 3, 1, 32, 32), torch.rand(1, 3, 1, 32, 32)
    expected = theirs(frames[:, :, 0] * 2 - 1, target[:, :, 0] * 2 - 1).flatten()
    torch.testing.assert_close(load_lpips(tmp_path / "vgg.safetensors")(frames, target), expected)


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*none\.safetensors.*lpips_weight=0"):
        load_lpips(tmp_path / "none.safetensors")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(FileNotFoundError, match=r"vgg16-397923af\.pth.*lpips_weight=0"):
        load_lpips()
    save_file(random_weights(linear=False), str(tmp_path / "vgg.safetensors"))
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"package lpips is not here.*lpips_weight=0"):
        load_lpips(tmp_path / "vgg.safetensors")
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3), "lin0": torch.zeros(1)}, str(tmp_path / "other"))
    with pytest.raises(ValueError, match=r"features\.0\.bias"):
        load_lpips(tmp_path / "other")
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(ValueError, match="no safetensors file"):
        load_lpips(tmp_path / "text")


def test_weights_where_torch_keeps_its_downloads_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkpoints").mkdir()
    torch.save(random_weights(), tmp_path / "checkpoints" / "vgg16-397923af.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    found = load_lpips()
    assert isinstance(found, Lpips)
    assert torch.equal(found.linear[4], random_weights()["lin4.model.1.weight"].flatten())
