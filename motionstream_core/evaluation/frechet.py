"""FVD: the Fréchet distance of the features of two sets of videos (Unterthiner et al., arXiv 1812.01717).

The network is the user's file: TorchScript that takes videos as `i3d_torchscript.pt` does (universome/stylegan-v:
src/metrics). Nothing is downloaded. The distance itself is torchmetrics'.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def load_features(path: Path) -> Any:
    """The network of a TorchScript file, on the CPU.

    Raises FileNotFoundError where there is none, ValueError for a file of another kind, ImportError without
    torchmetrics.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--fvd: there is no file {path}; give a TorchScript network, as i3d_torchscript.pt")
    if importlib.util.find_spec("torchmetrics") is None:
        raise ImportError("--fvd needs the package 'torchmetrics'; pip install torchmetrics")
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        raise ValueError(f"--fvd: {path} is no TorchScript file ({str(error).splitlines()[0]})") from error


@torch.no_grad()
def video_features(network: Any, video: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Features (d) float64 of a video uint8 (t h w 3). Raises ValueError for a network that gives something else."""
    frames = torch.from_numpy(video.copy()).permute(3, 0, 1, 2)[None].float().to(device)
    features = network(frames, rescale=True, resize=True, return_features=True)
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != 1:
        raise ValueError("--fvd: the network gives no features (1 d) for a video")
    return features[0].double().cpu()


def frechet_distance(made: Tensor, true: Tensor) -> float:
    """Between normal distributions with the means and covariances of features (n d) and (m d), n and m at least 2.

    Raises ValueError for fewer.
    """
    if min(len(made), len(true)) < 2:
        raise ValueError("FVD compares sets of videos; it needs two clips at least")
    from torchmetrics.image.fid import FrechetInceptionDistance

    distance = FrechetInceptionDistance(feature=_Given(true.shape[1]))
    distance.update(true, real=True)
    distance.update(made, real=False)
    return float(distance.compute())


class _Given(nn.Module):
    """In place of a network: what is given are features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features
