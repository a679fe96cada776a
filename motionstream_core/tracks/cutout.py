"""What of a picture goes along with the points that stand on it.

What has gone along together before goes along again. Of anything else two looks decide. The shorter way to the points,
longer across the picture's edges, tells roughly what is theirs and what belongs to others. From there the colours tell,
piece against surroundings: GrabCut (Rother et al. 2004), of OpenCV. Where no edge is about what was cut out it is not
torn off: what hangs on it gives way (`give`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .give import FAINT, RIM, follows_of, joined_border, seams
from .pieces import middle_of, taken_again
from .plain import Plain

FARTHEST = 3.0
"""No pixel that is farther from all points of a group is its own; in reaches."""
JOINED = 1.5
"""What lies between points that are nearer to each other is theirs; in reaches."""
GROUND = 0.5
"""A group that has more of the picture is what the others move over."""
SURE = 0.85
"""So many of a group's points, those nearest to their middle, are on the thing: a grid's corners may not be."""
EDGE_LENGTH = 6.0
"""So much longer a step is across an edge of the picture than elsewhere."""
CONTRAST = 0.08
"""Difference of colour, of 1, between neighbours from which there is an edge."""
SOFT_PX = 2.0
"""Softness of the border between what moves and what rests, by the shorter way."""
BLUR_PX = 0.7
"""Deviation of its softness where the colours tell."""
BEYOND = 0.5
"""How far the picture goes on beyond its edge, as what is nobody's, so that no edge bounds a thing; in reaches."""
LOOSE = 0.5
"""What has less of an edge about it may be plain ground."""
TAKEN = 4.0
"""A pixel of which one part in so many belongs to a thing is nothing of its ground's."""
ROUNDS = 2
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, -1), (-1, 0), (-1, -1), (-1, 1))
FAR = 1e6


@dataclass(frozen=True)
class Piece:
    """What of a picture goes along with points.

    share (h w): how much of every pixel is the thing's own. follows (h w): of the points' way the part that every pixel
    goes; 1 where the thing is, less beyond it, where it hangs together with what is there, 0 elsewhere. None: it hangs
    together with nothing. beneath (h w): where other things stand over it wherever it goes; None: nowhere.
    """

    share: Tensor
    follows: Tensor | None = None
    beneath: Tensor | None = None

    @cached_property
    def moving(self) -> Tensor:
        """How much of every pixel (h w) goes anywhere."""
        return self.share if self.follows is None else self.share.maximum((self.follows / FAINT).clamp(max=1))

    @cached_property
    def seams(self) -> Tensor:
        """Where what follows may tear (2 h w), see `give.seams`; for one that anything hangs on."""
        assert self.follows is not None
        return seams(self.follows)


def cut_out(plain: Plain, groups: list[Tensor], others: Tensor, before: Tensor | None = None) -> list[Piece]:
    """What of a picture goes with each group of points (m 2), px.

    others: (m 2) px, points that go with none. before: (h w), of every pixel the number of what it came there with, 0
    where it came with nothing.
    """
    picture, reach = plain.picture, plain.reach
    height, width = picture.shape[1:]
    like, margin = torch.zeros(height, width, dtype=torch.bool), round(BEYOND * reach)
    before = like.byte() if before is None else before
    again = taken_again(before, groups, others)
    away = [squares(centers(height, width, 1), each[None])[0].amin(-1).unflatten(0, (height, width)) for each in groups]
    within = [each < (FARTHEST * reach) ** 2 for each in away]
    near = torch.stack(away).amin(0) < reach**2
    if near.float().mean() < GROUND:  # not a camera's points, all over the picture
        nothing = torch.zeros(max(map(len, groups)), dtype=torch.bool)
        beside = [
            nothing[: len(each)] if number else plain.beside(each, near)
            for each, number in zip(groups, again, strict=True)
        ]
        beside = [out & ~out[middle_of(each)] for each, out in zip(groups, beside, strict=True)]
        others = torch.cat([others, *(each[out] for each, out in zip(groups, beside, strict=True))])
        groups = [each[~out] for each, out in zip(groups, beside, strict=True)]
    kernels = [_marked(_joined(each, JOINED * reach), like) for each in groups]
    marks, rest = [_marked(each, like) for each in groups], _marked(others, like)
    shares = _by_way(picture, kernels, within, rest, int(FARTHEST * reach))
    cut: list[Tensor | None] = []
    for index, share in enumerate(shares):
        if share.mean() >= GROUND or bool(within[index].all()):
            cut.append(None)
            continue
        if again[index]:
            cut.append(_softened((before == again[index]).numpy()))
            continue
        foreign = torch.stack([rest, *marks[:index], *marks[index + 1 :]]).any(0) & ~marks[index]
        radius = reach * (1 + 1 / len(groups[index]))  # the fewer the points, the farther each speaks
        likely = (share > 0.5) & (away[index] < radius**2)
        sure = _marked(_joined(_inner(groups[index]), JOINED * reach), like) & ~foreign
        cut.append(_by_colour(picture, sure, likely | kernels[index], within[index] & ~foreign, margin))
    taken = torch.stack([torch.zeros(height, width), *(each for each in cut if each is not None)]).sum(0)
    left = 1 - F.max_pool2d((TAKEN * taken[None]).clamp(max=1), 3, 1, 1)[0]  # not what their edges are mixed with
    pieces, alone = [], any(own is None for own in cut)  # nothing hangs on what moves over a ground that moves
    for share, own in zip(shares, cut, strict=True):
        if own is None:
            pieces.append(Piece(share * left))
            continue
        share = own / taken.clamp(min=1)
        pieces.append(Piece(share) if alone else _with_ground(plain, share, rest | (taken - own > RIM)))
    return pieces


def _with_ground(plain: Plain, share: Tensor, barred: Tensor) -> Piece:
    """The piece of a share (h w) with what hangs on it, none of which is barred (h w)."""
    reach = plain.reach
    joined, part = joined_border(plain.picture, share, reach)
    ground = plain.ground_at(share > 1 - RIM) if part > LOOSE else None
    if ground is None:
        return Piece(share, follows_of(share, joined, barred, reach))
    share = share * ground
    return Piece(share, follows_of(share, joined, barred | ~ground, reach), ~ground)


def squares(at: Tensor, places: Tensor) -> Tensor:
    """Squared distances (t p m) of at (p 2) from places (t m 2)."""
    lengths = at.square().sum(-1, keepdim=True) + places.square().sum(-1)[:, None]
    return torch.baddbmm(lengths, at.expand(len(places), -1, -1), places.mT, alpha=-2).clamp_(min=0)


def centers(height: int, width: int, stride: int) -> Tensor:
    """x and y (p 2) px of the centres of squares of `stride` px."""
    sides = [(torch.arange(-(-side // stride)) + 0.5) * stride for side in (height, width)]
    y, x = torch.meshgrid(sides, indexing="ij")
    return torch.stack([x, y], dim=-1).flatten(0, 1)


def _by_way(picture: Tensor, kernels: list[Tensor], within: list[Tensor], rest: Tensor, steps: int) -> list[Tensor]:
    """Shares (h w) of groups with their kernels (h w).

    Of the ways from a pixel to a group, to others, to what rests and to where no group reaches the shortest decides.
    """
    anywhere, several = torch.stack(within).any(0), len(kernels) > 1
    marked = [~anywhere | (rest & anywhere), *(kernel & anywhere for kernel in kernels)]
    nowhere, *found = _distances(_lengths(picture), torch.stack(marked + [~each for each in within] * several), steps)
    mine, shares = found[: len(kernels)], []
    edges = found[len(kernels) :] if several else [nowhere]
    for index, (own, edge) in enumerate(zip(mine, edges, strict=True)):
        others = torch.stack([nowhere, edge, *mine[:index], *mine[index + 1 :]]).amin(0)
        shares.append(torch.sigmoid((others - own) / SOFT_PX) * within[index])
    return shares


def _by_colour(picture: Tensor, kernel: Tensor, likely: Tensor, possible: Tensor, margin: int) -> Tensor:
    """The share (h w) of the picture that is like its kernel, hangs together with it, and is not like the rest.

    margin: px that the picture goes on beyond its edges, as rest.
    """
    import cv2

    states = np.full(kernel.shape, cv2.GC_BGD, np.uint8)
    for state, pixels in (cv2.GC_PR_BGD, possible), (cv2.GC_PR_FGD, likely & possible), (cv2.GC_FGD, kernel):
        states[pixels.numpy()] = state
    mine = (cv2.GC_FGD, cv2.GC_PR_FGD)
    known = np.isin(states, mine)
    if not known.any() or known.all():  # its points are beyond the picture, or there is nothing else in it
        return torch.from_numpy(known.astype(np.float32))
    pixels = np.pad((picture.movedim(0, 2) * 255 + 0.5).byte().numpy(), ((margin,) * 2, (margin,) * 2, (0, 0)), "edge")
    states = np.pad(states, margin, constant_values=cv2.GC_BGD)
    cv2.setRNGSeed(0)  # the colours of either side are clustered from random starts
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(pixels, states, None, background, foreground, ROUNDS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    own = np.isin(states, mine)[margin : margin + kernel.shape[0], margin : margin + kernel.shape[1]]
    own = _reached(own, kernel.numpy())
    outside = ~np.pad(possible.numpy()[1:-1, 1:-1], 1)
    own = ~_reached(~own, outside)  # what it encloses is its own, and a picture's edge encloses nothing
    return _softened(own)


def _softened(own: NDArray[np.bool_]) -> Tensor:
    """The share (h w) of pixels that are a thing's own, with a soft rim."""
    import cv2

    share = own.astype(np.float32)
    share = (share + cv2.dilate(share, np.ones((3, 3)))) / 2  # the pixels of a rim are mixed with its own
    return torch.from_numpy(cv2.GaussianBlur(share, (0, 0), BLUR_PX))


def _reached(pixels: NDArray[np.bool_], start: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those of the pixels that hang together with any of `start`."""
    import cv2

    count, labels = cv2.connectedComponents(pixels.astype(np.uint8), connectivity=4)
    numbers: NDArray[np.int32] = np.asarray(labels, np.int32)
    reached = np.zeros(count, np.bool_)
    reached[numbers[start & pixels]] = True
    return reached[numbers] & pixels


def _inner(points: Tensor) -> Tensor:
    """The share SURE of points (m 2) that is nearest to their middle."""
    away = (points - points.mean(0)).norm(dim=-1)
    return points[away < away.quantile(SURE) + 0.01]  # px: of points that are as far all or none, rounded as they are


def _joined(points: Tensor, reach: float) -> Tensor:
    """Points (m 2), and seven more on the lines between those that are nearer to each other than `reach`."""
    one, other = torch.nonzero(torch.cdist(points, points) < reach).unbind(1)
    share = torch.linspace(0, 1, 9)[:, None, None]
    return torch.lerp(points[one], points[other], share).flatten(0, 1)


def _marked(anchors: Tensor, like: Tensor) -> Tensor:
    """The pixels (h w) at anchors (m 2) and beside them."""
    marked = torch.zeros_like(like)
    x, y = anchors.floor().long().unbind(-1)
    inside = (x >= 0) & (y >= 0) & (x < like.shape[1]) & (y < like.shape[0])
    marked[y[inside], x[inside]] = True
    return F.max_pool2d(marked[None].float(), 3, 1, 1)[0] > 0


def _lengths(picture: Tensor) -> list[tuple[int, int, Tensor]]:
    """Every step to a neighbour, as (dy, dx), and its length (h w) from each pixel: longer across an edge."""
    smooth = F.avg_pool2d(F.pad(picture[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
    lengths = []
    for dy, dx in NEIGHBOURS:
        apart = (smooth - torch.roll(smooth, (dy, dx), (1, 2))).square().sum(0).sqrt()
        lengths.append((dy, dx, (dy * dy + dx * dx) ** 0.5 * (1 + EDGE_LENGTH * torch.tanh(apart / CONTRAST))))
    return lengths


def _distances(lengths: list[tuple[int, int, Tensor]], marked: Tensor, steps: int) -> Tensor:
    """Lengths (n h w) of the shortest way of at most so many steps to one of the marked pixels (n h w)."""
    height, width = marked.shape[1:]
    padded = F.pad(torch.where(marked, 0.0, FAR), (1, 1, 1, 1), value=FAR)
    for _ in range(steps):
        shorter = padded.clone()
        inside = shorter[:, 1:-1, 1:-1]
        for dy, dx, length in lengths:
            way = padded[:, 1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width] + length
            torch.minimum(inside, way, out=inside)
        if torch.equal(shorter, padded):
            break
        padded = shorter
    return padded[:, 1:-1, 1:-1]
