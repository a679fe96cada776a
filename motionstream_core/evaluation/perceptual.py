"""LPIPS: how unlike two images look, as the distance of their VGG-16 features (Zhang et al., arXiv 1801.03924).

The network is built here from plain convolutions. Its weights are the user's: VGG-16 as torchvision publishes it and
the five learned layers of the package `lpips`. Nothing is downloaded; what is missing is named.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoints.read import read_stored

VGG_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # width and convolutions between two poolings
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of inputs in [-1, 1], as LPIPS was trained
TORCHVISION_FILE = "vgg16-397923af.pth"
REMEDY = (
    "Give a safetensors file with torchvision's VGG-16 ('features.0.weight' ..., as in timm/vgg16.tv_in1k) and install "
    "the package lpips for its five layers (or put them into the file as 'lin0.model.1.weight' ...), or go without "
    "(training: lpips_weight=0; evaluation: --lpips off)."
)


class Lpips(nn.Module):
    """Distance of frames; its weights are fixed, gradients reach the frames alone."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        width = 3
        for stage, (next_width, num_convolutions) in enumerate(VGG_STAGES):
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if stage else []
            for _ in range(num_convolutions):
                layers += [nn.Conv2d(width, next_width, 3, padding=1), nn.ReLU()]
                width = next_width
            self.stages.append(nn.Sequential(*layers))
        self.linear = nn.ParameterList(torch.ones(width) for width, _ in VGG_STAGES)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, frames: Tensor, target: Tensor) -> Tensor:
        """Mean distance (b) of frames (b 3 t h w) in [0, 1] to those of `target`, at least 16 px on each side."""
        batch_size, _, num_frames = frames.shape[:3]
        images = torch.cat([_images(frames), _images(target)])
        distance = frames.new_zeros(batch_size * num_frames, dtype=torch.float32)
        for features, linear in zip(self._features(images), self.linear, strict=True):
            one, other = _unit(features.float()).chunk(2)
            distance = distance + ((one - other).square() * linear.view(1, -1, 1, 1)).sum(1).mean(dim=(1, 2))
        return distance.view(batch_size, num_frames).mean(1)

    def _features(self, images: Tensor) -> Iterator[Tensor]:
        """What leaves the last ReLU before every pooling, and the very last one."""
        x = (images * 2 - 1 - self.shift) / self.scale
        for stage in self.stages:
            x = stage(x)
            yield x


def _images(frames: Tensor) -> Tensor:
    """(b c t h w) -> (b*t c h w)"""
    return frames.transpose(1, 2).flatten(0, 1)


def _unit(features: Tensor) -> Tensor:
    return features / (features.norm(dim=1, keepdim=True) + 1e-10)


def load_lpips(vgg: str | Path | None = None) -> Lpips:
    """LPIPS with its published weights, on the CPU.

    vgg: a safetensors file (keys as in `REMEDY`). Without it, torchvision's own file where torch keeps its downloads.
    The five learned layers come from the same file or else from the installed package `lpips`, which is not run.
    Raises FileNotFoundError when either is missing, ValueError for a file that holds something else.
    """
    vgg_weights, path = _vgg_weights(None if vgg is None else Path(vgg))
    linear = {name: value for name, value in vgg_weights.items() if name.startswith("lin")} or _package_weights()
    model = Lpips()
    try:
        _fill(model, vgg_weights, linear)
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold the weights of LPIPS on VGG-16: {error}. {REMEDY}") from error
    return model


@torch.no_grad()
def _fill(model: Lpips, vgg: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> None:
    number = 0  # of the layer in torchvision's `features`, where poolings stand after their stage
    for stage in model.stages:
        for layer in stage.children():
            if isinstance(layer, nn.Conv2d):
                layer.weight.copy_(vgg[f"features.{number}.weight"])
                assert layer.bias is not None
                layer.bias.copy_(vgg[f"features.{number}.bias"])
            number += 1
    for index, weight in enumerate(model.linear):
        weight.copy_(linear[f"lin{index}.model.1.weight"].flatten())


def _vgg_weights(path: Path | None) -> tuple[Mapping[str, Tensor], Path]:
    """The tensors of the VGG file, and where they come from."""
    if path is None:
        path = Path(torch.hub.get_dir()) / "checkpoints" / TORCHVISION_FILE
        if not path.is_file():
            raise FileNotFoundError(f"LPIPS needs VGG-16: no file was given and there is no {path}. {REMEDY}")
    if not path.exists():
        raise FileNotFoundError(f"LPIPS needs VGG-16: there is no file {path}. {REMEDY}")
    try:
        return read_stored(path).tensors, path
    except ValueError as error:
        raise ValueError(f"{error}. {REMEDY}") from None


def _package_weights() -> Mapping[str, Tensor]:
    """The five learned layers as the package `lpips` carries them."""
    spec = importlib.util.find_spec("lpips")  # found, not imported: it would import torchvision
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"LPIPS needs its five learned layers, and the package lpips is not here. {REMEDY}")
    path = Path(spec.origin).parent / "weights" / "v0.1" / "vgg.pth"
    if not path.is_file():
        raise FileNotFoundError(f"the installed package lpips has no {path}. {REMEDY}")
    return read_stored(path).tensors
