"""What hangs on a thing that is dragged, and gives way: a body behind its head.

How far each pixel follows is a smooth field, 1 on the thing, that falls to 0 about it (a soft selection). It is cut
along the thing's border where the picture has an edge there, so that the ground of what stands free stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

GIVES = 2.5
"""How far what hangs on a thing gives way; in reaches."""
UNLIKE = 0.13
"""Difference, of 1, from which the two sides of a thing's border do not hang together."""
MOST = 0.6
"""Where so much of a border has two sides alike it is none."""
RIM = 0.05
"""A pixel of which a thing has more goes all the way."""
FAINT = 0.1
"""What would follow by less rests."""
STEEP, TORN = 0.2, 0.1
"""It begins to tear where neighbours differ by so much, and where its own part is missed by so much."""
HALVINGS = 5


def follows_of(share: Tensor, joined: Tensor, barred: Tensor, reach: float) -> Tensor | None:
    """The part of a drag that every pixel goes (h w); None: the thing goes by itself.

    share: (h w), how much of every pixel is the thing's; all that has some of it goes all the way. joined: see
    `joined_border`. barred: (h w), which pixels rest, as the picture's edges do. reach: px, see `cut_out`. The solution
    of a screened Poisson equation, into which the thing's border lets nothing where it is an edge.
    """
    own, width = share > RIM, share.shape[1]
    free = ~(own | barred)
    free[0] = free[-1] = free[:, 0] = free[:, -1] = False
    kept, flows = torch.full((share.numel(),), 1 / (GIVES * reach) ** 2), list[tuple[Tensor, int]]()
    for axis, apart in ((0, width), (1, 1)):  # neighbours down and across, so far apart among all pixels row by row
        over = torch.where(own.float().diff(dim=axis) == 0, 1.0, _both(joined, axis))
        over = F.pad(over, (0, axis, 0, 1 - axis)).flatten()[:-apart]
        kept[apart:] += over
        kept[:-apart] += over
        flows.append((over, apart))

    def applied(values: Tensor) -> Tensor:
        image = kept * values
        for over, apart in flows:
            image[apart:].addcmul_(over, values[:-apart], value=-1)
            image[:-apart].addcmul_(over, values[apart:], value=-1)
        return image

    wanted, sought = -applied(own.float().flatten()) * free.flatten(), free.flatten().float()
    if not wanted.any():
        return None
    follows = _solved(lambda values: applied(values).mul_(sought), wanted, int(4 * GIVES * reach)).view(share.shape)
    return torch.where(own, 1.0, ((follows - FAINT) / (1 - FAINT)).clamp(min=0))


def _both(values: Tensor, axis: int) -> Tensor:
    """1 where a value and the next one along an axis are true, else 0."""
    return (values.narrow(axis, 1, values.shape[axis] - 1) & values.narrow(axis, 0, values.shape[axis] - 1)).float()


def joined_border(picture: Tensor, share: Tensor, reach: float) -> tuple[Tensor, float]:
    """Where (h w) a thing's border is none in a picture (3 h w), in [0, 1], and of how much of it that is true.

    Most of its two sides are alike about there. share, reach: see `follows_of`.
    """
    own = share > RIM
    rim = (F.max_pool2d(own[None].float(), 3, 1, 1) - own.float())[0]
    border = rim
    alike = rim * (_contrast(picture, share > 1 - RIM, ~own, reach / 6) < UNLIKE)
    alike, rim = _blurred(torch.stack([alike, rim]), reach / 4)
    joined = alike > MOST * rim
    return joined, float((border * joined).sum() / border.sum().clamp(min=1))


def _contrast(picture: Tensor, one: Tensor, other: Tensor, deviation: float) -> Tensor:
    """How unlike, of 1, two sides (h w) of a picture are about every pixel (h w).

    By the means of their colours and by the colours' deviations, weighed by a Gaussian of that deviation, px.
    """
    both, sides = torch.cat([picture, picture.square()]), []
    for side in (one, other):
        near = _blurred(torch.cat([both * side, side[None].float()]), deviation)
        mean, square = (near[:-1] / near[-1].clamp(min=1e-6)).chunk(2)
        sides.append(torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()]))
    return (sides[0] - sides[1]).square().sum(0).sqrt()


def _blurred(values: Tensor, deviation: float) -> Tensor:
    """Values (c h w) under a Gaussian; 0 beyond their edges."""
    import cv2

    line = np.arange(-int(4 * deviation), int(4 * deviation) + 1)
    weights = np.exp(np.square(line) / (-2 * deviation**2))
    weights /= weights.sum()
    planes = [cv2.sepFilter2D(each, -1, weights, weights, borderType=cv2.BORDER_CONSTANT) for each in values.numpy()]
    return torch.from_numpy(np.stack(planes))


def _solved(applied: Callable[[Tensor], Tensor], wanted: Tensor, steps: int) -> Tensor:
    """x with applied(x) = wanted, by at most so many steps of conjugate gradients."""
    found, left, way = torch.zeros_like(wanted), wanted.clone(), wanted.clone()
    size = float(left.dot(left))
    for _ in range(steps):
        if size < 1e-6:
            break
        image = applied(way)
        step = size / float(way.dot(image))
        found.add_(way, alpha=step)
        left.sub_(image, alpha=step)
        size, before = float(left.dot(left)), size
        way.mul_(size / before).add_(left)
    return found


def given_part(follows: Tensor, at: Tensor, way: Tensor) -> Tensor:
    """Of ways (t p 2) px the part (t p) that has brought what is now at places at (p 2).

    follows: (h w), the part that each pixel of the picture goes. What goes a part f comes from at - f way, and f is its
    own there: halvings and a chord find one such f. Where nothing came to, behind what tore off, there is none, and
    `follows` is another at at - f way.
    """
    height, width = follows.shape
    picture, size = follows.expand(len(way), 1, -1, -1), at.new_tensor([width, height]) / 2

    def over(part: Tensor) -> Tensor:
        """How much more it would have gone than is its own."""
        grid = (at - part[..., None] * way) / size - 1
        return part - F.grid_sample(picture, grid[:, None], padding_mode="zeros", align_corners=False)[:, 0, 0]

    low, high = torch.zeros(way.shape[:2]), torch.ones(way.shape[:2])
    below, above = over(low), over(high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        value = over(middle)
        less = value < 0
        low, below = torch.where(less, middle, low), torch.where(less, value, below)
        high, above = torch.where(less, high, middle), torch.where(less, above, value)
    return low + (high - low) * (-below / (above - below).clamp(min=1e-6)).clamp(0, 1)


def seams(follows: Tensor) -> Tensor:
    """The part that each pixel goes, and the largest difference of it between neighbours within 3 px (2 h w)."""
    down, right = F.pad(follows.diff(dim=0).abs(), (0, 0, 0, 1)), F.pad(follows.diff(dim=1).abs(), (0, 1))
    return torch.cat([follows[None], F.max_pool2d(torch.maximum(down, right)[None], 7, 1, 3)])


def is_whole(part: Tensor, own: Tensor, steep: Tensor) -> Tensor:
    """Whether what came by `part` of a way hangs together, from 0 to 1; own, steep: `seams` where it came from."""
    return (2 - steep / STEEP).clamp(0, 1) * (2 - (own - part).abs() / TORN).clamp(0, 1) * (own / FAINT).clamp(max=1)
