"""What went along together, remembered pixel by pixel."""

from __future__ import annotations

import torch

from motionstream_core.tracks.pieces import MOST, pieces_after

SIZE = 32


def row(number: int) -> torch.Tensor:
    """A share of four pixels of its own for each number."""
    share = torch.zeros(SIZE * SIZE)
    share[4 * (number % (SIZE * SIZE // 4)) :][:3] = 1
    return share.view(SIZE, SIZE)


def test_what_moves_leaves_its_place_and_the_later_lies_on_top() -> None:
    first = pieces_after(torch.zeros(SIZE, SIZE, dtype=torch.uint8), [row(0)], [row(1)])
    assert torch.equal(first, row(1).byte())
    both = pieces_after(first, [row(2)], [row(1).roll(1)])
    assert both.flatten()[4:8].tolist() == [1, 2, 2, 2]
    assert not pieces_after(both, [row(1), row(1).roll(1)], []).any()


def test_of_more_pieces_than_a_byte_can_name_the_oldest_are_forgotten() -> None:
    pieces = torch.zeros(SIZE, SIZE, dtype=torch.uint8)
    for number in range(256):
        pieces = pieces_after(pieces, [], [row(number)])
    assert pieces.max() == MOST and len(pieces.unique()) == MOST + 1
    assert not pieces[row(0) > 0].any() and (pieces[row(1) > 0] == 1).all() and (pieces[row(255) > 0] == MOST).all()
