"""Rotary embedding against a slow reference that turns one complex number at a time."""

from __future__ import annotations

import cmath
from itertools import product

import pytest
import torch
from torch import Tensor

from motionstream_core.models import rope
from motionstream_core.models.rope import Rotation, rotate, rotation

CPU = torch.device("cpu")


def slow_rotate(x: Tensor, frames: list[int], height: int, width: int, theta: float = 10000.0) -> Tensor:
    """x (b l k d), each token's pairs as complex numbers: first those of the frame, then the row, then the column."""
    out = x.double().clone()
    head_dim = x.shape[-1]
    space = 2 * (head_dim // 6)
    for token, place in enumerate(product(frames, range(height), range(width))):
        pair = 0
        for position, dim in zip(place, (head_dim - 2 * space, space, space), strict=True):
            for i in range(dim // 2):
                turn = cmath.exp(1j * position * theta ** (-2 * i / dim))
                for b, k in product(range(x.shape[0]), range(x.shape[2])):
                    real, imaginary = x[b, token, k, 2 * pair : 2 * pair + 2].double().tolist()
                    turned = complex(real, imaginary) * turn
                    out[b, token, k, 2 * pair], out[b, token, k, 2 * pair + 1] = turned.real, turned.imag
                pair += 1
        assert 2 * pair == head_dim
    return out


def draw(tokens: int, head_dim: int) -> Tensor:
    return torch.randn(2, tokens, 2, head_dim, generator=torch.Generator().manual_seed(head_dim))


@pytest.mark.parametrize(
    ("frames", "height", "width", "head_dim", "theta"),
    [
        ([0, 1, 2], 2, 3, 12, 10000.0),
        ([0], 1, 1, 2, 10000.0),
        ([0, 3], 3, 2, 16, 500.0),
        ([5, 6, 7], 1, 2, 128, 10000.0),
        ([2, 0, 90], 2, 2, 64, 10000.0),
        ([1000], 2, 5, 32, 10000.0),
    ],
)
def test_equals_complex_numbers(frames: list[int], height: int, width: int, head_dim: int, theta: float) -> None:
    x = draw(len(frames) * height * width, head_dim)
    turned = rotate(x, rotation(frames, height, width, head_dim, CPU, theta))
    torch.testing.assert_close(turned.double(), slow_rotate(x, frames, height, width, theta), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_it_is_the_same(dtype: torch.dtype) -> None:
    """A compiler is given real numbers, eager execution complex ones."""
    x, turn = draw(12, 24).to(dtype), rotation([4, 5, 90], 2, 2, 24, CPU)
    torch._dynamo.reset()
    compiled = torch.compile(rotate, fullgraph=True, backend="eager")(x, turn)
    torch.testing.assert_close(compiled, rotate(x, turn), rtol=1e-6 if dtype == torch.float32 else 2**-7, atol=1e-6)


def test_a_stream_that_moves_on_holds_few_tables() -> None:
    """As one with absolute positions does: a table is a few MB at full size."""
    for position in range(100):
        rotation([1000 + position], 2, 2, 12, CPU)
    assert rope._rotation.cache_info().currsize <= 16


def test_a_head_of_128_is_split_44_42_42() -> None:
    """Ones in every pair's first place: what turns with the frame, the row and the column alone."""

    def turning(frames: list[int], height: int, width: int) -> list[int]:
        last = rotation(frames, height, width, 128, CPU)[-1:]  # type: ignore[index]
        return [feature for feature in range(128) if last.turns[0, feature // 2, 1] != 0]

    assert turning([1], 1, 1) == list(range(44))
    assert turning([0], 2, 1) == list(range(44, 86))
    assert turning([0], 1, 2) == list(range(86, 128))


def test_position_zero_changes_nothing_and_dtype_stays() -> None:
    x = draw(1, 12)
    assert torch.equal(rotate(x, rotation([0], 1, 1, 12, CPU)), x)
    half = rotate(x.bfloat16(), rotation([3], 1, 1, 12, CPU))
    assert half.dtype == torch.bfloat16
    exact = slow_rotate(x.bfloat16(), [3], 1, 1)
    torch.testing.assert_close(half.double(), exact, rtol=2**-8, atol=1e-5)


def test_a_slice_is_the_slice_of_the_tokens() -> None:
    x = draw(12, 24)
    whole = rotation([4, 5, 6], 2, 2, 24, CPU)
    assert isinstance(whole[4:8], Rotation)
    assert torch.equal(rotate(x[:, 4:8], whole[4:8]), rotate(x, whole)[:, 4:8])


def test_tables_are_made_once() -> None:
    assert rotation(range(3), 2, 2, 12, CPU) is rotation([0, 1, 2], 2, 2, 12, CPU)
    assert rotation([0, 1, 3], 2, 2, 12, CPU) is not rotation([0, 1, 2], 2, 2, 12, CPU)


def test_a_table_made_for_inference_serves_training() -> None:
    with torch.inference_mode():
        turn = rotation([11, 13], 1, 3, 36, CPU)
    x = draw(6, 36).requires_grad_()
    rotate(x, turn).square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach(), rtol=1e-5, atol=1e-5)  # turning keeps lengths


def test_an_odd_head_is_refused() -> None:
    with pytest.raises(ValueError, match="head_dim must be even, got 13"):
        rotation([0], 1, 1, 13, CPU)
