"""The first picture as its tracks drag it: a rough forecast of every later frame, of known pixels alone.

What the moving points stand on goes along with them, over what rests; where it was the hole is filled with what the
rest of the picture is made of (`inpaint`). How far it reaches the picture tells (`cutout`). What a turn does at its
rim, and what truly lay behind it, are left to the model that is given the forecast. To carry the first frame along the
trajectories as the motion's condition is Wan-Move's idea (arXiv 2512.08765), which carries single latent cells; a
small model needs pixels that are where they belong.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .cutout import GROUND, Piece, centers, cut_out, squares
from .give import RIM, given_part, is_whole
from .inpaint import inpainted
from .pieces import pieces_after
from .plain import Plain
from .tracks import Tracks
from .warp import FIELD_STRIDE, compensated, enlarged, filled, looked_up, sampled_at, window_of

REACH = 12 / 128
"""Deviation of a point's say over what lies around it; like all lengths here, a share of the frame's smaller side."""
MOVED = 1 / 128
"""A point that is nearer to its start rests."""
BEGUN = 0.25
"""Of that, what something that does move has to have gone to be shown as it moves."""
SAME = 4 / 128
"""Points whose ways differ by less carry what is between them together; of others only the nearest has a say."""
STRAIN = 0.2
"""How much more two points of one thing may part, of their distance: things turn, and grow under a camera."""
EDGE = 0.011
"""With so much say a pixel begins to go along, with twice as much it goes wholly."""
NEAREST = 4
MAX_GROUPS = 12
FAR = 1e6
Layer = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Carried:
    """frames (3 t h w) in [0, 1]; came, went (t h w): share of every pixel that was moved there, or that is a hole."""

    frames: Tensor
    came: Tensor
    went: Tensor


@dataclass
class CarriedPicture:
    """A picture (3 h w) in [0, 1], on the CPU, and where its points have taken it, chunk after chunk.

    A point is anchored to the part of the picture that is shown where the point is first seen, so that what was
    dragged once can be taken again; one that is first seen in a hole carries nothing, since what it belongs to is not
    in the picture. One that is hidden leaves it to those that it went with. Before a chunk that tells a point no more
    the picture itself becomes what was shown last, so that no stream has more to remember than what is in hand.
    """

    picture: Tensor
    """As it is now."""
    side: float = 0.0
    """Of the whole frame, px, where the picture is a part of one; 0: its own smaller side."""
    shown: Tensor = field(default_factory=lambda: torch.zeros(0))
    """Its newest frame (3 h w)."""
    _pieces: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.uint8))
    """Of its pixels (h w) the number of the piece that each came there with, 0: none; and below those of `shown`."""
    _pieces_shown: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.uint8))
    _plain: Plain | None = None
    """What of the picture is plain ground."""
    _shares: tuple[object, list[Piece]] = (None, [])
    """What `_things` came to last, and of which points: where they stand, group by group, and what rests."""
    _closed: tuple[Tensor, Tensor] | None = None
    """What `_behind` came to last, and of which hole."""
    _ids: list[int] = field(default_factory=list)
    _anchors: Tensor = field(default_factory=lambda: torch.zeros(0, 2))
    _places: Tensor = field(default_factory=lambda: torch.zeros(0, 2))
    _groups: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    """Of every point the number of those that it went with when it was last seen."""
    _num_groups: int = 0
    _carrying: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    """Of every point whether it moved anything when frames were last made."""
    _beside: Tensor = field(default_factory=lambda: torch.zeros(0, 2))
    """What rested when these points were first those that move: what comes and goes later cuts nothing anew."""
    _empty: list[int] = field(default_factory=list)
    """The points that were first seen in a hole."""

    def __post_init__(self) -> None:
        if not self.shown.numel():
            self.shown = self.picture
            self._pieces = self._pieces_shown = torch.zeros(self.picture.shape[1:], dtype=torch.uint8)

    def copy(self) -> CarriedPicture:
        """The same state, apart from this one; its tensors never change and are shared."""
        return replace(self, _ids=list(self._ids), _empty=list(self._empty))

    def carry(self, tracks: Tracks) -> Carried:
        """The next frames, under tracks of a frame of any size."""
        self._settle(set(tracks.ids.tolist()))
        carried = self._composed(self._follow(tracks.rescaled(*self.picture.shape[1:])))
        self.shown = carried.frames[:, -1].clone()  # no view, which would hold the whole chunk
        return carried

    def _told(self, rows: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
        """Of `_follow`'s rows where every point is and how far it has come (t m 2) px, and which ones move (m).

        One without a say is far away. Whom each goes with is told anew, and what rests beside them.
        """
        count = len(self._ids)
        places = torch.stack([torch.cat([row, self._anchors[len(row) :]]) for row, _ in rows])  # one that is new rests
        shown = torch.stack([F.pad(row, (0, count - len(row))) for _, row in rows])
        ways = places - self._anchors
        shown &= ~self._outvoted(ways[-1], shown.any(0))
        before = self._groups
        self._regroup(ways[-1], shown[-1])
        moved = (self._far(ways) * shown).amax(0) > 0.5
        if not (torch.equal(moved, self._carrying) and _same_parts(self._groups[moved], before[moved])):
            self._carrying, self._beside = moved, self._anchors[~moved & shown.any(0)]
        return torch.where(shown[..., None], places, FAR), ways, moved

    def _composed(self, rows: list[tuple[Tensor, Tensor]]) -> Carried:
        """The frames of which `_follow` gave the rows."""
        height, width = self.picture.shape[1:]
        places, ways, moved = self._told(rows)
        blank = torch.zeros(len(rows), height, width)
        frames = self.picture[:, None].expand(-1, len(rows), -1, -1)
        if not moved.any():
            self._pieces_shown = self._pieces
            return Carried(frames, blank, blank)
        groups = self._moving_groups(moved, ways[-1])
        things = self._things(groups, self._beside)
        largest = max(range(len(things)), key=lambda k: float(things[k].share.mean()))
        ground = largest if things[largest].share.mean() >= GROUND else None
        went, begun, hole, over, under = blank, blank, blank[0] > 0, list[Layer](), list[Layer]()
        ground_way: Tensor | None = None
        cells = centers(height, width, FIELD_STRIDE)
        for index, (each, thing) in enumerate(zip(groups, things, strict=True)):
            way, say = self._way(cells, places[:, each], ways[:, each])
            # all of it or nothing, since one point may be back already; what has hardly begun shows as it was
            away = self._far(ways[:, each] / BEGUN).amax(1)[:, None, None]
            if index == ground:
                under.append(self._layer(self.picture, way, torch.ones_like(say), thing.share, mirrored=True))
                ground_way = way
                begun = begun.maximum(away)
                continue
            over.append(_beneath(self._layer(self.picture, way, _firm(say), thing.share), thing))
            leaves, comes = F.max_pool2d(thing.moving[None], 3, 1, 1), over[-1][1]  # with its mixed edge
            if thing.beneath is not None:
                leaves = leaves * ~thing.beneath
            if thing.follows is not None:
                under.append(_beneath(self._given(way, thing), thing))
                comes = comes.maximum(under[-1][1])
            went = went.maximum(leaves)
            hole |= F.max_pool2d((thing.share[None] > RIM).float(), 3, 1, 1)[0] * leaves[0] > 0
            begun = begun.maximum(away * ((leaves > 0) | (comes > 0)))
        came = blank
        if under:  # what nothing comes to is closed from what is around it then, smoothly but where the things were
            known = 1 - (2 * went).clamp(max=1) if ground is None else self._rest(things, ground).expand_as(blank)
            for carried, there in under:
                known = there + (1 - there) * known
                frames = torch.lerp(frames, carried, (there / known.clamp(min=1e-6))[None])
                came = torch.maximum(came, there)
            went = 1 - known
            frames = filled(frames.movedim(1, 0), known[:, None]).movedim(0, 1)
            behind, there = self._behind(hole)[:, None], hole.float()
            if ground_way is not None:  # what is behind goes along with its ground
                firm = torch.ones(ground_way.shape[:2])
                behind, there = self._layer(behind[:, 0], ground_way, firm, there, mirrored=True)
            frames = torch.lerp(frames, behind, there * (1 - 2 * known).clamp(min=0))
        else:
            frames = torch.lerp(frames, self._behind(hole)[:, None], went[None])
        for carried, there in over:
            frames = torch.lerp(frames, carried, there[None])
            came = torch.maximum(came, there)
        if ground is None:
            places_now = [there[-1] * begun[-1] for _, there in over]
            self._pieces_shown = pieces_after(self._pieces, [thing.share for thing in things], places_now)
        else:
            self._pieces_shown = torch.zeros_like(self._pieces)
        frames = torch.lerp(self.picture[:, None], frames, begun[None])
        return Carried(frames, came * begun, went * (1 - came) * begun)

    def _layer(self, picture: Tensor, way: Tensor, firm: Tensor, share: Tensor, mirrored: bool = False) -> Layer:
        """What one group carries: frames (3 t h w), and the share (t h w) of every pixel that it covers.

        way, firm: (t p 2) px and (t p) of cells, how far they have come, and whether anything has. share: (h w), what
        of the pixels of the picture (3 h w) is the group's own. mirrored: also beyond its edges, where others end.
        """
        height, width = picture.shape[1:]
        size = -(-height // FIELD_STRIDE), -(-width // FIELD_STRIDE)
        firm = firm.unflatten(1, size)
        both = torch.cat([picture, share[None]])
        frames = both.new_zeros(4, len(way), height, width)
        window = window_of(firm.amax(0) > 0, height, width)
        rows, columns = window
        frames[..., rows, columns] = compensated(both, way.unflatten(1, size), SAME * self._side, mirrored, window)
        return frames[:3], enlarged(firm[:, None], height, width)[:, 0] * frames[3]

    def _given(self, way: Tensor, thing: Piece) -> Layer:
        """As `_layer`, what hangs on a group's thing, and gives way."""
        assert thing.follows is not None
        height, width = self.picture.shape[1:]
        cells, size = centers(height, width, FIELD_STRIDE), (-(-height // FIELD_STRIDE), -(-width // FIELD_STRIDE))
        part = given_part(thing.follows, cells, way)
        field = torch.cat([part[..., None] * way, part[..., None]], dim=-1).unflatten(1, size).movedim(3, 1)
        shift, part = enlarged(field, height, width).split([2, 1], dim=1)
        pixels = centers(height, width, 1).T.unflatten(1, (height, width))
        frames = sampled_at(torch.cat([self.picture, thing.seams, thing.share[None]]), pixels - shift)
        hangs = 1 - frames[5]  # and is none of the thing itself
        return frames[:3], is_whole(part[:, 0], frames[3], frames[4]) * hangs

    def _regroup(self, ways: Tensor, shown: Tensor) -> None:
        """Number the points that are shown by whom they go with: neighbours in the picture whose ways are alike.

        A group keeps the number that most of its points had; of two that had the same one the larger keeps it.
        """
        apart = torch.cdist(self._anchors, self._anchors)
        alike = torch.cdist(ways, ways) < SAME * self._side + STRAIN * apart
        together = (apart < 2 * REACH * self._side) & alike & shown & shown[:, None]
        roots = _connected(together)
        taken: set[int] = set()
        groups = self._groups.clone()
        for root in sorted(set(roots[shown].tolist()), key=lambda root: -int((roots == root).sum())):
            members = (roots == root) & shown
            before = self._groups[members]
            numbers = [number for number in before[before > 0].tolist() if number not in taken]
            if not numbers:
                self._num_groups += 1
            number = max(set(numbers), key=numbers.count) if numbers else self._num_groups
            taken.add(number)
            groups[members] = number
        self._groups = groups

    def _moving_groups(self, moved: Tensor, ways: Tensor) -> list[Tensor]:
        """Rows of the points that move, group by group, what has come farthest last; of many the largest groups."""
        numbers = sorted(set(self._groups[moved].tolist()), key=lambda n: -int((self._groups[moved] == n).sum()))
        groups = [torch.nonzero((self._groups == number) & moved)[:, 0] for number in numbers[:MAX_GROUPS]]
        return sorted(groups, key=lambda rows: float(ways[rows].norm(dim=-1).mean()))

    def _follow(self, tracks: Tracks) -> list[tuple[Tensor, Tensor]]:
        """Of each frame places (m 2) px of the points known by then, and which of them have a say (m)."""
        points, visible, ids = tracks.points.float().cpu(), tracks.visibility.tolist(), tracks.ids.tolist()
        rows, empty = [], set(self._empty)
        for frame in range(tracks.num_frames):
            known = {track_id: row for row, track_id in enumerate(self._ids)}
            seen = [column for column in range(len(ids)) if visible[frame][column]]
            old = [column for column in seen if ids[column] in known]
            if old:
                at, to = [known[ids[column]] for column in old], points[frame, old]
                self._places = self._moved(at, to)
            new = [column for column in seen if ids[column] not in known and ids[column] not in empty]
            if new:
                at = points[frame, new]
                way, holds = self._shift(at)
                self._ids += [ids[column] for column, any_ in zip(new, holds.tolist(), strict=True) if any_]
                empty |= {ids[column] for column, any_ in zip(new, holds.tolist(), strict=True) if not any_}
                self._anchors = torch.cat([self._anchors, (at - way)[holds]])
                self._places = torch.cat([self._places, at[holds]])
                self._groups, self._carrying = (F.pad(x, (0, int(holds.sum()))) for x in (self._groups, self._carrying))
            rows.append((self._places, self._shown({ids[column] for column in seen}, set(ids))))
        self._empty = sorted(empty & set(ids))
        return rows

    def _shown(self, seen: set[int], told: set[int]) -> Tensor:
        """Which points have a say (m): those that are seen; of others those that nothing seen speaks for.

        One that is hidden leaves what it stands on to those that it went with. One that was let go speaks for itself,
        but under what came to it is silent.
        """
        shown = torch.tensor([track_id in seen for track_id in self._ids], dtype=torch.bool)
        if shown.all() or not shown.any():
            return torch.ones_like(shown)
        hidden = torch.tensor([track_id in told and track_id not in seen for track_id in self._ids])
        ways = self._places - self._anchors
        others = (self._groups[:, None] == self._groups[shown]).any(1) & (self._groups > 0)
        under = torch.cdist(self._places, self._places[shown]) < REACH * self._side
        unlike = torch.cdist(ways, ways[shown]) > SAME * self._side
        silent = (under & unlike & (self._far(ways[shown]) > 0.5)).any(1) | (hidden & others)
        return shown | ~silent

    def _outvoted(self, ways: Tensor, shown: Tensor) -> Tensor:
        """Points (m) that say one thing among more that say another: a camera's grid over an object with its own."""
        among = (torch.cdist(self._anchors, self._anchors) < REACH * self._side) & shown
        unlike = torch.cdist(ways, ways) > SAME * self._side
        return (among & unlike).sum(1) > (among & ~unlike).sum(1)

    def _moved(self, rows: list[int], to: Tensor) -> Tensor:
        """Places (m 2) when the points `rows` have gone `to`, and those that are hidden beside them have gone along."""
        places = self._places.clone()
        places[rows] = to
        hidden = sorted(set(range(len(places))) - set(rows))
        if hidden:
            distance, nearest = torch.cdist(self._anchors[hidden], self._anchors[rows]).min(1)
            beside = distance < 2 * REACH * self._side
            ways = self._places - self._anchors
            apart = ways[hidden] - ways[rows][nearest]
            beside &= apart.norm(dim=-1) < SAME * self._side
            beside &= ways[hidden].norm(dim=-1) > MOVED * self._side  # what rested so far is no part of what moves
            step = (to - self._places[rows])[nearest]
            places[hidden] += step * beside[:, None]
        return places

    @property
    def _side(self) -> float:
        return self.side or float(min(self.picture.shape[1:]))

    def _shift(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """How far (p 2) px what is shown now at `at` (p 2) has come, and whether anything is (p), or else a hole."""
        rests, shown = torch.zeros_like(at), torch.ones(len(at), dtype=torch.bool)
        ways = self._places - self._anchors
        moved, beside = self._far(ways) > 0.5, self._beside
        if not moved.any():
            return rests, shown
        if (moved & ~self._carrying).any():  # something has set off since frames were last made
            beside = self._anchors[~moved]
        else:
            moved = self._carrying
        groups = self._moving_groups(moved, ways)
        shift = rests
        for rows, thing in zip(groups, self._things(groups, beside), strict=True):
            way, say = self._way(at, self._places[None, rows], ways[None, rows])
            come = _firm(say[0]) * looked_up(thing.share[None], at - way[0])[0] > 0.5
            if thing.follows is not None:
                part = given_part(thing.follows, at, way)[0]
                given = part[:, None] * way[0]
                whole = is_whole(part, *looked_up(thing.seams, at - given))
                way = torch.where(come[:, None], way, given)
                come |= whole * self._far(given) > 0.5
            if thing.beneath is not None:
                come &= looked_up(thing.beneath[None].float(), at)[0] < 0.5
            here = looked_up(thing.moving[None], at)[0]
            shift = torch.where(come[:, None], way[0], shift)
            shown = come | (shown & (here < 0.5))
        return shift, shown

    def _way(self, at: Tensor, places: Tensor, ways: Tensor) -> tuple[Tensor, Tensor]:
        """How far (t p 2) px what is moved to `at` (p 2) has come, and with how much say (t p).

        places, ways: (t m 2) of the points that have moved.
        """
        apart, nearest = squares(at, places).topk(min(NEAREST, places.shape[1]), dim=-1, largest=False)
        ways = ways.gather(1, nearest.flatten(1)[..., None].expand(-1, -1, 2)).unflatten(1, nearest.shape[1:])
        say = torch.exp(-apart / (2 * (REACH * self._side) ** 2))
        unlike = (ways - ways[:, :, :1]).square().sum(-1) / (2 * (SAME * self._side) ** 2)
        share = say**3 * torch.exp(-unlike) + 1e-12 * (unlike == 0)
        return (share[..., None] * ways).sum(2) / share.sum(2)[..., None], say[:, :, 0]

    def _far(self, ways: Tensor) -> Tensor:
        """Whether ways (... 2) px lead anywhere, from 0 to 1."""
        return 1 - torch.exp(-ways.square().sum(-1) / (2 * (MOVED * self._side) ** 2))

    def _things(self, groups: list[Tensor], beside: Tensor) -> list[Piece]:
        """Of every group of points (rows), beside places (m 2) that rest, what of the picture is its own."""
        order = sorted(range(len(groups)), key=lambda k: int(groups[k][0]))  # what has come farthest changes
        anchors = [self._anchors[groups[k]] for k in order]
        key = [each.tolist() for each in anchors], beside.tolist()
        if self._shares[0] != key:
            self._plain = self._plain or Plain(self.picture, REACH * self._side)
            self._shares = key, cut_out(self._plain, anchors, beside, self._pieces)
        return [self._shares[1][order.index(k)] for k in range(len(groups))]

    def _rest(self, things: list[Piece], ground: int) -> Tensor:
        """The share (h w) of the picture that neither goes along nor is the edge of what does: its points rest."""
        over = [thing.share for index, thing in enumerate(things) if index != ground]
        taken = torch.stack(over).sum(0) if over else torch.zeros_like(things[ground].share)
        near = F.max_pool2d((2 * taken[None]).clamp(max=1), 5, 1, 2)[0]
        return 1 - (things[ground].share + near).clamp(max=1)

    def _behind(self, hole: Tensor) -> Tensor:
        """The picture without what was in the hole (h w)."""
        if self._closed is None or not torch.equal(self._closed[0], hole):
            self._closed = hole, inpainted(self.picture, hole)
        return self._closed[1]

    def _settle(self, told: set[int]) -> None:
        """Forget the points that are told no more; where they moved anything, the picture is now as they left it."""
        kept = torch.tensor([track_id in told for track_id in self._ids], dtype=torch.bool)
        if kept.all():
            return
        if (self._far(self._places - self._anchors)[~kept] > 0.5).any():
            self.picture, self._pieces = self.shown, self._pieces_shown
            self._anchors, self._carrying, self._shares = self._places, torch.zeros_like(kept), (None, [])
            self._plain = self._closed = None
        self._ids = [track_id for track_id in self._ids if track_id in told]
        self._anchors, self._places, self._groups = self._anchors[kept], self._places[kept], self._groups[kept]
        self._carrying = self._carrying[kept]


def _beneath(layer: Layer, thing: Piece) -> Layer:
    """What of it is to be seen under what stands over the thing."""
    frames, there = layer
    return layer if thing.beneath is None else (frames, there * ~thing.beneath)


def _connected(together: Tensor) -> Tensor:
    """The smallest number that each can reach over pairs (m m) that hang together."""
    count = len(together)
    roots = torch.arange(count)
    while count:
        lower = torch.minimum(roots, torch.where(together, roots, count).amin(1))
        if torch.equal(lower, roots):
            break
        roots = lower
    return roots


def _same_parts(one: Tensor, other: Tensor) -> bool:
    """Whether two numberings (m) part the same points from each other."""
    return torch.equal(one[:, None] == one, other[:, None] == other)


def _firm(say: Tensor) -> Tensor:
    return ((say - EDGE) / EDGE).clamp(0, 1)
