"""Tracks drawn over frames: an overlay that moves with the video, and a contact sheet for reports."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .brush import Dots, Strokes, id_colors, paint
from .tracks import Tracks

_BACKGROUND = (20, 21, 26)
_GAP_PX = 6


def draw_tracks(
    frames: Tensor,
    tracks: Tracks,
    *,
    tail_frames: int = 12,
    radius: float | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> Tensor:
    """`frames` with every visible point as a dot and its last `tail_frames` steps as a fading tail.

    frames: (t h w 3), floating in 0..1 or uint8; the result has its shape, dtype and device, `frames` is left alone,
        and pixels away from the drawing keep their value exactly.
    tracks: of the same number of frames; a frame size other than (h w) is scaled. Invisible points are not drawn,
        since their coordinates mean nothing, nor is a step that begins or ends at one.
    tail_frames: steps of tail, 0 for none. radius: of the dots, px; by default from frame size and crowding.
    on_frame: called after each frame with the number of frames drawn; it may raise to end the work.

    Raises ValueError for frames of another form and for a differing number of frames.
    """
    _require_frames(frames, tracks)
    if tail_frames < 0 or (radius is not None and radius <= 0):
        raise ValueError(f"tail_frames is {tail_frames}, radius {radius}; they must be at least 0 and above 0 px")
    height, width = frames.shape[1:3]
    path = _Path(tracks, height, width, radius)
    drawn = frames.detach().cpu().clone()
    for index in range(len(drawn)):
        image = _to_image(drawn[index])
        paint(image, path.tail(index, tail_frames), path.dots(index))
        drawn[index] = _from_image(image, drawn.dtype)
        if on_frame is not None:
            on_frame(index + 1)
    return drawn.to(frames.device)


def contact_sheet(
    frames: Tensor, tracks: Tracks | None = None, *, columns: int = 4, num_cells: int = 8, cell_width: int = 416
) -> Tensor:
    """Evenly spaced frames, first and last among them, in a grid: a clip and its motion at one glance.

    Each cell shows the whole trajectory thin, the part travelled so far thick, the current point as a dot, and the
    frame's number in its corner.

    frames: (t h w 3), floating in 0..1 or uint8. tracks: as in draw_tracks, or None. columns, num_cells: of the
    grid; a clip shorter than num_cells shows every frame once. cell_width: px. Returns uint8 (H W 3), on the CPU.
    Raises ValueError for frames of another form, a differing number of frames and counts below 1.
    """
    _require_frames(frames, tracks)
    if min(columns, num_cells, cell_width) < 1:
        raise ValueError(f"columns {columns}, num_cells {num_cells}, cell_width {cell_width}: all must be at least 1")
    num_cells = min(num_cells, len(frames))
    columns = min(columns, num_cells)
    cell_height = max(1, round(frames.shape[1] * cell_width / frames.shape[2]))
    path = None if tracks is None else _Path(tracks, cell_height, cell_width, None)
    pitch = (cell_width + _GAP_PX, cell_height + _GAP_PX)
    num_rows = -(-num_cells // columns)
    sheet = Image.new("RGB", (columns * pitch[0] + _GAP_PX, num_rows * pitch[1] + _GAP_PX), _BACKGROUND)
    for cell, index in enumerate(np.linspace(0, len(frames) - 1, num_cells).round().astype(int).tolist()):
        picture = _to_image(frames[index].detach().cpu())
        picture = _to_image(torch.from_numpy(_resized(picture, cell_height, cell_width)))
        if path is not None:
            paint(picture, path.journey(index), path.dots(index))
        labelled = _labelled(picture, str(index))
        row, column = divmod(cell, columns)
        sheet.paste(labelled, (_GAP_PX + column * pitch[0], _GAP_PX + row * pitch[1]))
    return torch.from_numpy(np.array(sheet))


class _Path:
    """Tracks as strokes and dots in a picture of `height` x `width` px."""

    def __init__(self, tracks: Tracks, height: int, width: int, radius: float | None) -> None:
        tracks = tracks.rescaled(height, width)
        self.points = tracks.points.cpu().double().nan_to_num(0.0, 0.0, 0.0).numpy()
        self.visibility = tracks.visibility.cpu().numpy()
        self.colors = id_colors(tracks.ids.cpu().numpy())
        crowding_px = (height * width / max(1, tracks.num_tracks)) ** 0.5
        self.radius = radius or max(1.5, min(2 + min(height, width) / 150, 0.2 * crowding_px))
        # Step i leads from frame i to i + 1; a point at rest has no steps to draw.
        long_enough = np.abs(np.diff(self.points, axis=0)).max(axis=-1, initial=0.0) > 0.02
        self.steps = self.visibility[:-1] & self.visibility[1:] & long_enough

    def dots(self, frame: int) -> Dots:
        seen = self.visibility[frame]
        return Dots(self.points[frame, seen], self.colors[seen], self.radius)

    def tail(self, frame: int, num_steps: int) -> Strokes:
        """The last `num_steps` steps up to `frame`, thinner and fainter with age."""
        start = max(0, frame - num_steps)
        freshness = 1 - (frame - 1 - np.arange(start, frame)) / max(1, num_steps)
        return self._strokes(start, frame, self.radius * (0.3 + 0.9 * freshness), freshness)

    def journey(self, frame: int) -> Strokes:
        """All steps: thick those that lead to `frame`, thin those that follow."""
        travelled = np.arange(len(self.steps)) < frame
        width, opacity = np.where(travelled, 0.9, 0.35) * self.radius, np.where(travelled, 1.0, 0.6)
        return self._strokes(0, len(self.steps), width, opacity)

    def _strokes(self, start: int, stop: int, width: np.ndarray, opacity: np.ndarray) -> Strokes:
        step, track = self.steps[start:stop].nonzero()
        ends = self.points[start + step, track], self.points[start + step + 1, track]
        return Strokes(*ends, self.colors[track], width[step], opacity[step])


def _require_frames(frames: Tensor, tracks: Tracks | None) -> None:
    kind = frames.is_floating_point() or frames.dtype == torch.uint8
    if frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape or not kind:
        raise ValueError(
            f"frames is {frames.dtype} {tuple(frames.shape)}; it must be (t h w 3), floating in 0..1 or uint8"
        )
    if tracks is not None and tracks.num_frames != len(frames):
        raise ValueError(f"there are {len(frames)} frames but tracks for {tracks.num_frames}; resample the tracks")


def _to_image(frame: Tensor) -> np.ndarray:
    """A copy as (h w 3) in 0..1, in a float type that holds the frame's values exactly."""
    values = frame.to(torch.float64 if frame.dtype == torch.float64 else torch.float32).numpy()
    return values / values.dtype.type(255 if frame.dtype == torch.uint8 else 1)


def _from_image(image: np.ndarray, dtype: torch.dtype) -> Tensor:
    values = torch.from_numpy(image)
    return (values * 255).round().to(dtype) if dtype == torch.uint8 else values.to(dtype)


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    picture = Image.fromarray(np.round(image.clip(0, 1) * 255).astype(np.uint8))
    return np.array(picture.resize((width, height), Image.Resampling.LANCZOS))


def _labelled(image: np.ndarray, text: str) -> Image.Image:
    """The image in 8 bits with `text` on a dark plate in its upper left corner."""
    picture = Image.fromarray(np.round(image.clip(0, 1) * 255).astype(np.uint8))
    font = ImageFont.load_default(size=max(9, round(picture.width / 24)))
    draw = ImageDraw.Draw(picture, "RGBA")
    pad = max(3, picture.width // 90)
    left, top, right, bottom = draw.textbbox((2 * pad, 2 * pad), text, font=font)
    draw.rounded_rectangle((left - pad, top - pad, right + pad, bottom + pad), pad, fill=(*_BACKGROUND, 190))
    draw.text((2 * pad, 2 * pad), text, font=font, fill=(255, 255, 255, 255))
    return picture
