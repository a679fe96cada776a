"""What lay behind a thing that has gone, made of the rest of its picture, patch by patch.

From coarse to fine, and on each level in turns: of every patch that touches the hole the one that is most like it is
found in the rest, and every pixel of the hole becomes the mean of what these say of it (Wexler et al. 2007). How rough
a texture is counts as colour does, or all would be filled with what is flat (Newson et al. 2014). The coarsest level
compares all with all; finer ones try what their neighbours have found, and one at random (PatchMatch, Barnes et al.
2009).
"""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from .warp import filled

RADIUS = 2
"""Of a patch, px."""
COARSEST = 16
"""Px of the smaller side below which no level is made."""
TURNS, LAST_TURNS = 2, 1
"""On a level, and on the finest."""
TEXTURE = 4.0
"""What a difference of texture counts more than one of colour."""
FAR = 15.0
"""What it counts that a patch comes from as far as the frame is wide, beside the sum of its squared differences."""
LIKELY = 0.5
"""A patch as unlike as these least unlike ones has e^-1/2 of its say: the fewer, the sharper what is voted for."""
DEEPER = 0.8
"""How much less a patch says for every px that it lies deeper in the hole."""
FEWEST = 0.1
"""Part of the picture whose patches have to be whole on a level."""


def inpainted(picture: Tensor, hole: Tensor) -> Tensor:
    """A picture (3 h w), in [0, 1], whose hole (h w), bool, is filled; what is no hole stays to the bit.

    Where too little of the picture is left, it is filled smoothly with what is around. The same picture and hole
    always give the same.
    """
    if not hole.any():
        return picture
    levels = [_Level(torch.cat([picture, TEXTURE * _roughness(picture, hole)]), hole)]
    while min(levels[-1].hole.shape) >= 2 * COARSEST and (coarser := levels[-1].halved()).hole.any():
        levels.append(coarser)
    levels = [level for level in levels if level.sources.float().mean() >= FEWEST]
    if not levels or levels[0].hole.shape != hole.shape:
        return filled(picture[None], 1 - hole[None, None].float())[0]
    generator = torch.Generator().manual_seed(0)
    for coarser, level in zip([None, *reversed(levels)], reversed(levels), strict=False):
        level.begin(coarser, generator)
        for _ in range(LAST_TURNS if level is levels[0] else TURNS):
            level.search(generator)
            level.vote()
    return levels[0].values[:3]


class _Level:
    """The picture in one size: values (c h w), colours and roughness, of which those of the hole (h w) are sought.

    targets, found (t 2): row and column of every pixel whose patch touches the hole, and of that whose patch is most
    like it, as `costs` (t) say. sources (h w): whose patches are wholly of the picture.
    """

    def __init__(self, values: Tensor, hole: Tensor) -> None:
        self.values, self.hole = values, hole
        height, width = hole.shape
        touching = F.max_pool2d(hole[None].float(), 2 * RADIUS + 1, 1, RADIUS)[0] > 0
        self.targets = torch.nonzero(touching)
        self.sources = F.pad(~touching[RADIUS : height - RADIUS, RADIUS : width - RADIUS], (RADIUS,) * 4)
        self.found, self.costs = self.targets, torch.zeros(len(self.targets))
        self._trust = DEEPER ** _depth(hole)[self.targets.unbind(1)]
        self._wide, self._last = width + 2 * RADIUS, torch.tensor([height - 1, width - 1])
        self._around = torch.tensor([dy * self._wide + dx for dy, dx in product(range(2 * RADIUS + 1), repeat=2)])
        self._rows = self._wanted = torch.zeros(0)

    def halved(self) -> _Level:
        """Half as large; a pixel is of the hole where more than half of its four are."""
        known = (~self.hole)[None].float()
        both = F.avg_pool2d(torch.cat([self.values * known, known]), 2)
        return _Level(both[:-1] / both[-1:].clamp(min=1e-6), both[-1] < 0.5)

    def begin(self, coarser: _Level | None, generator: torch.Generator) -> None:
        """Fill the hole roughly and find patches: by what the coarser level has, or without one among all."""
        if coarser is None:
            self._fill(filled(self.values[None], (~self.hole)[None, None].float())[0])
        else:
            self._fill(F.interpolate(coarser.values[None], self.hole.shape, mode="bilinear", align_corners=False)[0])
        sources = torch.nonzero(self.sources)
        if coarser is None:
            apart = torch.cdist(self._wanted.flatten(1), self._patches(sources).flatten(1)).square()
            self.found = sources[(apart + self._far(self.targets[:, None], sources)).argmin(1)]
        else:
            places = coarser.map()
            above = (self.targets // 2).minimum(coarser._last)
            self.found = 2 * places[above.unbind(1)] + self.targets % 2
            lost = ~self._possible(self.found)
            self.found[lost] = sources[torch.randint(len(sources), (int(lost.sum()),), generator=generator)]

    def map(self) -> Tensor:
        """Row and column (h w 2) of what was found for every pixel; itself where nothing was sought."""
        places = torch.stack(torch.meshgrid(*map(torch.arange, self.hole.shape), indexing="ij"), dim=-1)
        places[self.targets.unbind(1)] = self.found
        return places

    def search(self, generator: torch.Generator) -> None:
        """Find likelier patches: those beside what the neighbours have found, and one at random."""
        self.costs = self._cost(torch.arange(len(self.found)), self.found)
        places = self.map()
        for step in torch.tensor([(0, 1), (1, 0), (0, -1), (-1, 0)]):
            self._try(places[(self.targets - step).clamp(min=0).minimum(self._last).unbind(1)] + step)
            places[self.targets.unbind(1)] = self.found
        away = torch.rand(self.found.shape, generator=generator) * 2 - 1
        self._try(self.found + (away * (self._last + 1) / 4).long())

    def vote(self) -> None:
        """Give every pixel of the hole the mean of what the patches found say of it, the likelier the more."""
        likely = self.costs.quantile(LIKELY).clamp(min=1e-6)
        say = (self._trust * torch.exp(-self.costs / (2 * likely)))[:, None, None]
        said = self._patches(self.found)
        total = said.new_zeros(len(self._rows), said.shape[-1] + 1)
        parts = torch.cat([say * said, say.expand(*said.shape[:2], 1)], dim=-1)
        total.index_add_(0, self._index(self.targets).flatten(), parts.flatten(0, 1))
        mean = (total[:, :-1] / total[:, -1:].clamp(min=1e-12)).T.unflatten(1, (-1, self._wide))
        self._fill(mean[:, RADIUS:-RADIUS, RADIUS:-RADIUS])

    def _fill(self, guess: Tensor) -> None:
        """Take a guess (c h w) for what is in the hole."""
        self.values = torch.where(self.hole, guess, self.values)
        padded = F.pad(self.values[None], (RADIUS,) * 4, mode="replicate")[0]
        self._rows = padded.flatten(1).T.contiguous()
        self._wanted = self._patches(self.targets)

    def _try(self, places: Tensor) -> None:
        """Take those of the places (t 2) whose patches are likelier than what was found."""
        rows = torch.nonzero(self._possible(places) & (places != self.found).any(1))[:, 0]
        tried = places[rows]
        cost = self._cost(rows, tried)
        better = cost < self.costs[rows]
        self.found = self.found.index_put((rows[better],), tried[better])
        self.costs[rows[better]] = cost[better]

    def _possible(self, places: Tensor) -> Tensor:
        """Whether places (t 2) are sources."""
        inside = places.clamp(min=0).minimum(self._last)
        return self.sources[inside.unbind(1)] & (inside == places).all(1)

    def _cost(self, rows: Tensor, places: Tensor) -> Tensor:
        """How unlike (t) the patches at places (t 2) are to those of the targets `rows` (t), and how far from them."""
        apart = (self._patches(places) - self._wanted[rows]).square().sum((1, 2))
        return apart + self._far(self.targets[rows], places)

    def _far(self, here: Tensor, there: Tensor) -> Tensor:
        return FAR * (here - there).square().sum(-1) / max(self.hole.shape) ** 2

    def _patches(self, places: Tensor) -> Tensor:
        """The values (t p c) of patches about places (t 2); beyond the picture its rim is repeated."""
        return self._rows[self._index(places)]

    def _index(self, places: Tensor) -> Tensor:
        """Which rows (t p) those are."""
        return (places[:, :1] * self._wide + places[:, 1:]) + self._around


def _roughness(picture: Tensor, hole: Tensor) -> Tensor:
    """How much (2 h w) neighbours in a row and in a column differ about every pixel, those of the hole left out."""
    known = (~hole)[None].float()
    rough = []
    for axis in (2, 1):
        side = (1, 0, 0, 0) if axis == 2 else (0, 0, 1, 0)
        both = known * F.pad(known, side)[:, : known.shape[1], : known.shape[2]]
        change = F.pad(picture.diff(dim=axis).abs().mean(0, keepdim=True), side)
        near = F.avg_pool2d(torch.cat([change * both, both]), 5, 1, 2)
        rough.append(near[:1] / near[1:].clamp(min=1e-6))
    return torch.cat(rough)


def _depth(hole: Tensor) -> Tensor:
    """How many px deep (h w) every pixel of a hole lies in it; 0 outside."""
    depth, left = torch.zeros(hole.shape), hole[None].float()
    while left.any() and not left.all():
        depth += left[0]
        left = -F.max_pool2d(-left, 3, 1, 1)
    return depth
