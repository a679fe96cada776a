"""The flow's algebra: ends of the path, round trips, and every way to give sigma against an explicit loop."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionstream_core.diffusion.flow import (
    add_noise,
    clean_from_velocity,
    expand_sigma,
    velocity_target,
)

SHAPE = (2, 3, 4, 5, 6)


def pair(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(SHAPE, generator=generator, dtype=dtype), torch.randn(SHAPE, generator=generator, dtype=dtype)


def test_the_path_runs_from_clean_to_noise() -> None:
    clean, noise = pair()
    assert torch.equal(add_noise(clean, noise, 0.0), clean)
    assert torch.equal(add_noise(clean, noise, 1.0), noise)
    torch.testing.assert_close(add_noise(clean, noise, 0.25), clean + (noise - clean) / 4)


def test_velocity_is_the_slope_of_the_path() -> None:
    clean, noise = pair()
    slope = (add_noise(clean, noise, 0.75) - add_noise(clean, noise, 0.25)) / 0.5
    torch.testing.assert_close(velocity_target(clean, noise), slope)


@settings(deadline=None, max_examples=50)
@given(sigma=st.floats(0, 1))
def test_the_clean_end_comes_back_from_any_point(sigma: float) -> None:
    clean, noise = pair()
    noisy, velocity = add_noise(clean, noise, sigma), velocity_target(clean, noise)
    torch.testing.assert_close(clean_from_velocity(noisy, velocity, sigma), clean)


@pytest.mark.parametrize("function", [add_noise, clean_from_velocity])
@pytest.mark.parametrize("layout", ["number", "scalar", "b", "b f"])
def test_sigma_reaches_every_frame_it_is_meant_for(function, layout: str) -> None:
    first, second = pair()
    levels = torch.linspace(0.1, 0.9, 8, dtype=torch.float64).view(2, 4)
    if layout == "b":
        levels = levels[:, :1].expand(2, 4)
    elif layout != "b f":
        levels = levels[:1, :1].expand(2, 4)
    sigma = {"number": levels[0, 0].item(), "scalar": levels[0, 0], "b": levels[:, 0], "b f": levels}[layout]
    result = function(first, second, sigma)
    for b in range(2):
        for f in range(4):
            expected = function(first[b, :, f], second[b, :, f], levels[b, f].item())
            torch.testing.assert_close(result[b, :, f], expected)


@pytest.mark.parametrize("shape", [(3,), (2, 5), (4, 2), (2, 3, 4)])
def test_a_sigma_that_fits_nothing_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="sigma has shape"):
        expand_sigma(torch.zeros(shape), torch.zeros(SHAPE))


def test_a_sigma_per_clip_needs_five_axes() -> None:
    with pytest.raises(ValueError, match="b c f h w"):
        expand_sigma(torch.zeros(2), torch.zeros(2, 3))


def test_half_precision_rounds_once() -> None:
    clean, noise = pair(torch.bfloat16)
    result = add_noise(clean, noise, torch.tensor(0.3))
    assert result.dtype == torch.bfloat16
    exact = 0.7 * clean.double() + 0.3 * noise.double()
    half_step = 2.0 ** (torch.frexp(exact).exponent - 9)  # bf16 keeps 8 significant bits
    assert ((result.double() - exact).abs() <= half_step + 1e-6).all()
