"""An image and its tracks come to the video's size by the same rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

Pack = Callable[[str], Any]


@pytest.fixture
def fit(pack: Pack) -> Any:
    return pack("nodes.frame_fit")


def test_an_image_of_the_right_size_is_left_alone(fit: Any) -> None:
    image = torch.rand(1, 32, 48, 3)
    assert torch.equal(fit.fit_image(image, (32, 48), "crop")[0, :, 0], image[0].permute(2, 0, 1))


def test_alpha_is_dropped(fit: Any) -> None:
    assert fit.fit_image(torch.rand(1, 8, 8, 4), (8, 8), "crop").shape == (1, 3, 1, 8, 8)


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (8, 8, 3), (1, 8, 8, 1)])
def test_other_images_are_refused(fit: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^image"):
        fit.fit_image(torch.rand(*shape), (8, 8), "crop")


def test_a_batch_is_refused_by_its_size(fit: Any) -> None:
    with pytest.raises(ValueError, match=r"image holds 5 pictures.*ImageFromBatch"):
        fit.fit_image(torch.rand(5, 8, 8, 3), (8, 8), "crop")


@pytest.mark.parametrize("how", ["crop", "stretch"])
@pytest.mark.parametrize("source", [(60, 200), (200, 60), (37, 53), (300, 300)])
def test_a_bright_spot_and_its_track_stay_together(fit: Any, pack: Pack, how: str, source: tuple[int, int]) -> None:
    """A blob is drawn about a point; after the fit the blob's centre of light lies on the fitted track."""
    height, width = source
    x, y = 0.55 * width, 0.46 * height
    rows, columns = np.mgrid[:height, :width] + 0.5
    radius = 0.06 * min(source)
    blob = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    image = torch.from_numpy(blob).float()[None, :, :, None].repeat(1, 1, 1, 3)
    light = fit.fit_image(image, (64, 96), how)[0, 0, 0].double()
    tracks_class = pack("motionstream_core.tracks").Tracks
    tracks = tracks_class(torch.tensor([[[x, y]]]).float(), torch.ones(1, 1, dtype=torch.bool), height, width)
    fitted = fit.fit_tracks(tracks, (64, 96), how)
    grid_y, grid_x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    center = torch.stack([(light * grid_x).sum(), (light * grid_y).sum()]) / light.sum()
    assert torch.allclose(center, fitted.points[0, 0].double(), atol=0.35)
    assert (fitted.height, fitted.width) == (64, 96)


def test_crop_keeps_the_sides_in_proportion(fit: Any) -> None:
    assert fit.fit_box((100, 200), (64, 64), "crop") == (50.0, 0.0, 150.0, 100.0)
    assert fit.fit_box((200, 100), (64, 64), "crop") == (0.0, 50.0, 100.0, 150.0)
    assert fit.fit_box((100, 200), (64, 64), "stretch") == (0.0, 0.0, 200.0, 100.0)
