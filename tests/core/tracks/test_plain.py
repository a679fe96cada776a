"""Plain ground that is dragged goes beneath what stands on it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from motionstream_core.demo.example import drawn_example
from motionstream_core.tracks import Tracks
from motionstream_core.tracks.carry import CarriedPicture
from motionstream_core.tracks.cutout import cut_out
from motionstream_core.tracks.plain import Plain

SIZE, REACH = 128, 12.0


def disc(x: float, y: float, radius: float) -> Tensor:
    line = torch.arange(SIZE) + 0.5
    return (line - x).square() + (line[:, None] - y).square() < radius**2


def meadow(colour: tuple[float, float, float] = (0.3, 0.5, 0.3)) -> Tensor:
    """Ground (3 h w) with grain, lighter towards its foot."""
    grain = torch.rand(1, 1, SIZE // 2, SIZE // 2, generator=torch.Generator().manual_seed(1)) - 0.5
    grain = torch.nn.functional.interpolate(grain, (SIZE, SIZE), mode="bilinear")[0]
    light = torch.linspace(-0.15, 0.15, SIZE)[:, None]
    return (torch.tensor(colour)[:, None, None] + 0.08 * grain + light).clamp(0, 1)


def dragged(start: tuple[float, float], way: tuple[float, float], ids: tuple[int, ...] = (0,)) -> Tracks:
    """One point that goes by `way` within 13 frames."""
    points = torch.tensor(start) + torch.linspace(0, 1, 13)[:, None, None] * torch.tensor(way)
    return Tracks(points, torch.ones(13, 1, dtype=torch.bool), SIZE, SIZE, torch.tensor(ids))


@pytest.mark.parametrize("start", [(75.0, 88.0), (99.0, 100.0)])
def test_ground_covers_nothing_that_stands_on_it(start: tuple[float, float]) -> None:
    """From two sides to the middle of the red triangle."""
    picture = torch.from_numpy(drawn_example(2).image).movedim(2, 0).float() / 255
    red = picture[0] > picture[1] + 0.3
    middle = torch.nonzero(red).float().mean(0).flip(0)
    way = (middle - torch.tensor(start)).tolist()
    frames = CarriedPicture(picture).carry(dragged(start, (way[0], way[1]))).frames
    assert torch.equal(frames[:, :, red], picture[:, None, red].expand(-1, 13, -1))


def test_its_grain_goes_along_up_to_what_stands_on_it() -> None:
    stone = disc(92, 64, 14)
    picture = torch.where(stone, torch.tensor([0.7, 0.6, 0.9])[:, None, None], meadow())
    carried = CarriedPicture(picture).carry(dragged((48.0, 64.0), (24.0, 0.0)))
    last = carried.frames[:, -1]
    torch.testing.assert_close(last[:, 63:66, 71:74], picture[:, 63:66, 47:50], atol=0.02, rtol=0)
    torch.testing.assert_close(last[:, stone], picture[:, stone], atol=0, rtol=0)


def test_what_is_taken_up_after_ground_went_beneath_it_is_the_thing() -> None:
    stone = disc(92, 64, 14)
    picture = torch.where(stone, torch.tensor([0.7, 0.6, 0.9])[:, None, None], meadow())
    carried = CarriedPicture(picture)
    ground = dragged((60.0, 64.0), (32.0, 0.0))
    carried.carry(ground)
    hand = dragged((92.0, 64.0), (0.0, 30.0), (1,))
    both = Tracks(
        torch.cat([ground.points[-1:].expand(13, -1, -1), hand.points], dim=1),
        torch.ones(13, 2, dtype=torch.bool),
        SIZE,
        SIZE,
        torch.tensor([0, 1]),
    )
    frame = carried.carry(both).frames[:, -1]
    assert (frame[:, disc(92, 94, 11)] - torch.tensor([0.7, 0.6, 0.9])[:, None]).abs().mean() < 0.02


def test_a_thing_of_one_colour_is_no_ground() -> None:
    stone = disc(64, 64, 20)
    plain = Plain(torch.where(stone, torch.tensor([0.7, 0.6, 0.9])[:, None, None], meadow()), REACH)
    assert plain.ground_at(disc(64, 64, 3)) is None
    ground = plain.ground_at(disc(20, 64, 3))
    assert ground is not None
    assert (ground != stone).float().mean() > 0.97


def test_points_beside_a_thing_are_told_from_those_on_it() -> None:
    """But not where they are all over the ground that they stand on."""
    stone = disc(64, 64, 12)
    plain = Plain(torch.where(stone, torch.tensor([0.7, 0.6, 0.9])[:, None, None], meadow()), REACH)
    points = torch.tensor([[64.0, 64], [60, 70], [80, 80], [46, 50], [-3, 64]])
    near = disc(64, 64, 40)
    assert plain.beside(points, near).tolist() == [False, False, True, True, False]
    assert not plain.beside(points, torch.ones_like(near)).any()


@pytest.mark.parametrize(("thing", "least"), [("square", 0.82), ("red", 0.75), ("green", 0.7)])
@pytest.mark.parametrize("off", [(0, 0), (4, 3), (-5, 4), (0, -6)])
def test_a_hands_grid_takes_a_thing_up_and_no_ground(thing: str, least: float, off: tuple[int, int]) -> None:
    picture = torch.from_numpy(drawn_example(2).image).movedim(2, 0).float() / 255
    red, green, blue = picture
    there = {"square": blue > green + 0.2, "red": red > torch.maximum(green, blue) + 0.2, "green": green > red + 0.2}
    truth = there[thing]
    middle = torch.nonzero(truth).float().mean(0).flip(0) + torch.tensor(off)
    line = torch.linspace(-13, 13, 5)
    grid = middle + torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).reshape(-1, 2)
    (piece,) = cut_out(Plain(picture, REACH), [grid], torch.zeros(0, 2))
    overlap = torch.minimum(piece.share, truth.float()).sum() / torch.maximum(piece.share, truth.float()).sum()
    assert overlap > least
