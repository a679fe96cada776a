"""The Tracks type: point trajectories over a clip, in pixels of a frame of known size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

NUM_IDS = 100_000
MAX_SAMPLES = 2**24
"""Tracks times frames that anything from outside, or asked for, may come to: 144 MiB of points and visibility."""
BLOCK_SAMPLES = 2**19
"""As many are worked on at once, where that is done in float64."""


class TrackFormatError(ValueError):
    """Tracks from outside are malformed; the message names the place, the value and the remedy."""


def require_budget(num_tracks: int, num_frames: int) -> None:
    """Raise TrackFormatError where so many tracks over so many frames are more than MAX_SAMPLES; allocates nothing."""
    if num_tracks * num_frames > MAX_SAMPLES:
        raise TrackFormatError(
            f"{num_tracks} tracks over {num_frames} frames are {num_tracks * num_frames} samples, and at most "
            f"{MAX_SAMPLES} are held; use fewer points or frames"
        )


def assign_ids(num_tracks: int, seed: int = 0) -> Tensor:
    """Identities of `num_tracks` tracks: the first of a seeded random permutation of [0, 100000).

    Returns int64 (n). A larger count extends a smaller one, so tracks added at the end leave the others' ids alone.
    Raises ValueError beyond 100000 tracks. Source: FastVideo docs/training/wantrack.md, randperm(100000)[:N].
    """
    if not 0 <= num_tracks <= NUM_IDS:
        raise ValueError(f"num_tracks is {num_tracks}, but there are ids for 0 to {NUM_IDS} tracks; use fewer tracks")
    return torch.randperm(NUM_IDS, generator=torch.Generator().manual_seed(seed))[:num_tracks]


@dataclass(frozen=True, eq=False)
class Tracks:
    """Where `n` points are in each of `t` frames of `height` x `width` px, and whether they can be seen.

    points: float32 (t n 2), x and y in px. Coordinates are continuous: pixel column i covers [i, i + 1) and has its
        centre at i + 0.5. Points may lie outside the frame. Where a point is invisible its value means nothing.
    visibility: bool (t n).
    ids: int64 (n), distinct, in [0, 100000): the identity that a track keeps through resample, slice, rescaled and
        concatenate, and that its embedding is drawn from. None gives assign_ids(n, seed=0).

    Raises ValueError for a wrong shape, dtype or device, for ids that repeat or leave the range, and for a visible
    point that is not finite. The tensors are shared, not copied: nobody writes into them.
    """

    points: Tensor
    visibility: Tensor
    height: int
    width: int
    ids: Tensor = field(default=None)  # pyright: ignore[reportAssignmentType]  # None never outlives __post_init__

    def __post_init__(self) -> None:
        _require_size(self.height, self.width)
        points, visibility = self.points, self.visibility
        if points.ndim != 3 or points.shape[2] != 2 or points.shape[0] < 1:
            raise ValueError(f"points has shape {tuple(points.shape)}; it must be (t n 2) with t at least 1")
        if self.ids is None:
            object.__setattr__(self, "ids", assign_ids(points.shape[1]).to(points.device))
        for name, dtype, shape in (
            ("points", torch.float32, points.shape),
            ("visibility", torch.bool, points.shape[:2]),
            ("ids", torch.int64, points.shape[1:2]),
        ):
            value: Tensor = getattr(self, name)
            if value.shape != shape:
                raise ValueError(
                    f"{name} has shape {tuple(value.shape)}, but points has {tuple(points.shape)}; "
                    f"{name} must be {tuple(shape)}"
                )
            if value.dtype != dtype:
                raise ValueError(f"{name} is {value.dtype}; it must be {dtype}, convert it with .to({dtype})")
            if value.device != points.device:
                raise ValueError(f"{name} is on {value.device}, points on {points.device}; move both to one device")
        bad = visibility & ~points.isfinite().all(dim=-1)
        if bad.any():
            frame, track = (int(index) for index in bad.nonzero()[0])
            raise ValueError(
                f"points is {points[frame, track].tolist()} at frame {frame}, track {track}, where it is visible; "
                f"give finite pixels, or make it invisible there"
            )
        if ((self.ids < 0) | (self.ids >= NUM_IDS)).any():
            raise ValueError(f"ids run from {int(self.ids.min())} to {int(self.ids.max())}; use 0 to {NUM_IDS - 1}")
        if self.ids.unique().numel() != self.ids.numel():
            raise ValueError("ids repeat; give every track its own")

    @property
    def num_frames(self) -> int:
        return self.points.shape[0]

    @property
    def num_tracks(self) -> int:
        return self.points.shape[1]

    @classmethod
    def empty(cls, num_frames: int, height: int, width: int) -> Tracks:
        """A clip of `num_frames` frames of `height` x `width` px without a track."""
        return cls(torch.zeros(num_frames, 0, 2), torch.zeros(num_frames, 0, dtype=torch.bool), height, width)

    @classmethod
    def concatenate(cls, parts: Sequence[Tracks]) -> Tracks:
        """All tracks of `parts`, in order: n is the sum.

        The first holder of an id keeps it; a later one gets an id that nobody in `parts` holds, the same on every run.
        Raises ValueError when `parts` is empty or its members differ in num_frames, height or width.
        """
        if not parts:
            raise ValueError("parts is empty; give at least one Tracks, or use Tracks.empty")
        first = parts[0]
        for index, part in enumerate(parts):
            if part.num_frames != first.num_frames:
                raise ValueError(
                    f"parts[{index}] has {part.num_frames} frames, parts[0] has {first.num_frames}; resample either"
                )
            if (part.height, part.width) != (first.height, first.width):
                raise ValueError(
                    f"parts[{index}] is for {part.width}x{part.height} px, parts[0] for {first.width}x{first.height} "
                    f"px; bring them to one size with rescaled(height, width)"
                )
        points = torch.cat([part.points for part in parts], dim=1)
        visibility = torch.cat([part.visibility for part in parts], dim=1)
        ids = _redraw_repeated(torch.cat([part.ids for part in parts]))
        return cls(points, visibility, first.height, first.width, ids)

    def slice(self, start: int, stop: int) -> Tracks:
        """Frames [start, stop). Raises ValueError unless 0 <= start < stop <= num_frames."""
        if not 0 <= start < stop <= self.num_frames:
            raise ValueError(f"frames [{start}, {stop}) do not lie in the clip's [0, {self.num_frames})")
        return Tracks(self.points[start:stop], self.visibility[start:stop], self.height, self.width, self.ids)

    def rescaled(self, height: int, width: int) -> Tracks:
        """The same tracks in a frame of `height` x `width` px.

        x' = x * width / self.width, y likewise: the frame's edges stay its edges and pixel centres (i + 0.5) keep
        their relative place. Two corner pixels' centres therefore do *not* map onto each other (no align_corners).
        """
        _require_size(height, width)
        scale = torch.tensor([width / self.width, height / self.height], dtype=torch.float64, device=self.points.device)
        return Tracks((self.points * scale).float(), self.visibility, height, width, self.ids)

    def in_frame(self) -> Tensor:
        """bool (t n): 0 <= x < width and 0 <= y < height; False where a coordinate is not finite.

        Says nothing about visibility: a track map shows a point where `visibility & in_frame()`.
        """
        x, y = self.points.unbind(-1)
        return (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)

    def to_payload(self, *, sized: bool = True) -> dict[str, Any]:
        """ComfyUI's TRACKS: {"track_path": float32 (t n 2) px, "track_visibility": bool (t n)}, and of this pack's own
        "track_height" and "track_width", px of the frame, which other packs leave alone or out.
        sized: whether those two are there; they are not where the size is not known.

        Always finite (0 where an invisible point is not). The payload has no place for ids.
        """
        payload = {"track_path": self.points.nan_to_num(0.0, 0.0, 0.0), "track_visibility": self.visibility.clone()}
        return {**payload, "track_height": self.height, "track_width": self.width} if sized else payload

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any], height: int, width: int) -> Tracks:
        """Tracks, on the CPU, of ComfyUI's TRACKS dict, in px of the frame that it names, else of `height` x `width`.

        track_path: floating (t n 2), any device. track_visibility: bool, or floating in [0, 1] with visible from 0.5
        on; (t n), or (t 1) for all tracks alike; missing or None means all visible. track_height, track_width: see
        `payload_size`. Other keys are other packs' own and are ignored. Raises TrackFormatError for anything else.
        """
        height, width = payload_size(payload) or (height, width)
        path = _payload_tensor(payload, "track_path")
        if path is None:
            raise TrackFormatError(f"TRACKS has the keys {sorted(map(str, payload))}; it needs 'track_path' (t n 2)")
        if not path.is_floating_point() or path.ndim != 3 or path.shape[2] != 2 or path.shape[0] < 1:
            batch = "; take its batch axis off" if path.ndim == 4 else ""
            raise TrackFormatError(
                f"track_path is {path.dtype} {tuple(path.shape)}; it must be floating (frames, tracks, 2){batch}"
            )
        visibility = _payload_tensor(payload, "track_visibility")
        if visibility is None:
            visibility = torch.ones(path.shape[:2], dtype=torch.bool)
        if visibility.shape not in (path.shape[:2], (path.shape[0], 1)):
            raise TrackFormatError(
                f"track_visibility has shape {tuple(visibility.shape)}; beside track_path {tuple(path.shape)} it "
                f"must be {tuple(path.shape[:2])} or {(path.shape[0], 1)}"
            )
        if visibility.is_floating_point():
            if not ((visibility >= 0) & (visibility <= 1)).all():
                raise TrackFormatError("track_visibility has values outside 0..1 (or nan); give 0..1 or bool")
            visibility = visibility >= 0.5
        if visibility.dtype != torch.bool:
            raise TrackFormatError(f"track_visibility is {visibility.dtype}; it must be bool or floating in 0..1")
        try:
            return cls(path.float(), visibility.expand(path.shape[:2]).contiguous(), height, width)
        except ValueError as error:
            raise TrackFormatError(f"TRACKS: {error}") from error


def payload_size(payload: Mapping[str, Any]) -> tuple[int, int] | None:
    """(height, width) px of the frame that a TRACKS dict was made for, or None where it does not say.

    Raises TrackFormatError for half a size, and for sides that are no whole numbers of px.
    """
    sides = {name: payload[name] for name in ("track_height", "track_width") if payload.get(name) is not None}
    if not sides:
        return None
    for name, side in sides.items():
        if isinstance(side, bool) or not isinstance(side, int) or side < 1:
            raise TrackFormatError(f"{name} is {side!r}; it must be a whole number of pixels, at least 1")
    if len(sides) == 1:
        raise TrackFormatError(f"TRACKS has {next(iter(sides))} alone; give both track_height and track_width, or none")
    return sides["track_height"], sides["track_width"]


def _require_size(height: int, width: int) -> None:
    for name, side in (("height", height), ("width", width)):
        if isinstance(side, bool) or not isinstance(side, int) or side < 1:
            raise ValueError(f"{name} is {side!r}; it must be a whole number of pixels, at least 1")


def _payload_tensor(payload: Mapping[str, Any], key: str) -> Tensor | None:
    value = payload.get(key)
    if value is not None and not isinstance(value, Tensor):
        raise TrackFormatError(f"{key} is a {type(value).__name__}; it must be a torch.Tensor")
    return None if value is None else value.detach().cpu()


def _redraw_repeated(ids: Tensor) -> Tensor:
    if ids.unique().numel() == ids.numel():
        return ids
    if ids.numel() > NUM_IDS:
        raise ValueError(f"parts hold {ids.numel()} tracks together, but there are only {NUM_IDS} ids; use fewer")
    values: list[int] = ids.tolist()
    taken = set(values)
    unused = (candidate for candidate in assign_ids(NUM_IDS).tolist() if candidate not in taken)
    seen: set[int] = set()
    for index, value in enumerate(values):
        if value in seen:
            values[index] = next(unused)
        seen.add(value)
    return torch.tensor(values, dtype=torch.int64, device=ids.device)
