"""What gives way under a drag, against dense solutions, slow searches and pictures with known seams."""

from __future__ import annotations

import torch
from torch import Tensor

from motionstream_core.tracks.give import FAINT, GIVES, follows_of, given_part, joined_border

SIZE, REACH = 40, 6.0
NOTHING = torch.zeros(SIZE, SIZE, dtype=torch.bool)


def box(left: int, top: int, right: int, bottom: int) -> Tensor:
    marked = NOTHING.clone()
    marked[top:bottom, left:right] = True
    return marked


def dense(own: Tensor, barred: Tensor) -> Tensor:
    """The same equation on an even picture, as a matrix, in double precision."""
    count = SIZE * SIZE
    number = torch.arange(count).view(SIZE, SIZE)
    pairs = torch.cat([torch.stack([number[1:], number[:-1]], -1), torch.stack([number.T[1:], number.T[:-1]], -1)])
    matrix = torch.eye(count, dtype=torch.float64) / (GIVES * REACH) ** 2
    for one, other in pairs.reshape(-1, 2).tolist():
        matrix[one, one] += 1
        matrix[other, other] += 1
        matrix[one, other] -= 1
        matrix[other, one] -= 1
    edge = ~box(1, 1, SIZE - 1, SIZE - 1)
    fixed = (own | barred | edge).flatten()
    values = own.flatten().double()
    values[~fixed] = torch.linalg.solve(matrix[~fixed][:, ~fixed], -matrix[~fixed][:, fixed] @ values[fixed])
    return torch.where(own, 1.0, ((values.view(SIZE, SIZE) - FAINT) / (1 - FAINT)).clamp(min=0))


def _follows(picture: Tensor, own: Tensor, barred: Tensor = NOTHING) -> Tensor | None:
    joined, _ = joined_border(picture, own.float(), REACH)
    return follows_of(own.float(), joined, barred, REACH)


def test_on_an_even_picture_it_is_the_solution_of_the_screened_equation() -> None:
    own, barred = box(12, 14, 20, 24), box(28, 10, 30, 30)
    follows = _follows(torch.full((3, SIZE, SIZE), 0.5), own, barred)
    assert follows is not None
    torch.testing.assert_close(follows.double(), dense(own, barred), atol=2e-3, rtol=0)
    assert 0.3 < follows[19, 22] < 0.95 and not follows[barred].any()


def test_what_an_edge_surrounds_goes_by_itself() -> None:
    own = box(12, 14, 20, 24)
    picture = torch.where(own, 0.8, 0.3).expand(3, -1, -1)
    assert _follows(picture, own) is None


def test_only_where_no_edge_is_it_hangs_together() -> None:
    """A bar of one colour of which the left end is the thing: the bar follows, the ground above it hardly."""
    bar, own = box(4, 14, 36, 26), box(4, 14, 16, 26)
    picture = torch.where(bar, 0.8, 0.3).expand(3, -1, -1)
    follows = _follows(picture, own)
    assert follows is not None
    assert follows[20, 17] > 0.5 and follows[11, 8] < 0.1
    along = follows[20, 16:30]
    assert (along.diff() <= 1e-4).all()


def test_the_part_that_came_is_found() -> None:
    """Against the forward map of a smooth field: what starts at s arrives at s + f(s) way."""
    line = torch.arange(SIZE) + 0.5
    follows = torch.exp(-(line - 10).square() / 200).expand(SIZE, -1)
    start = torch.stack([line[5:30], torch.full((25,), 20.5)], dim=-1)
    part = follows[20, 5:30]
    way = torch.tensor([6.0, 0.0]).expand(1, 25, 2)
    found = given_part(follows, start + part[:, None] * way[0], way)[0]
    torch.testing.assert_close(found, part, atol=0.01, rtol=0)
