"""From decoded pixels to what a player shows: turned, mirrored, with square pixels, deinterlaced, opaque."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .container_crop import Crop
from .faults import MediaError

Pixels = NDArray[np.uint8]

WHITE = (255, 255, 255)
MOST_SIDE_PX = 16384
HDR_CURVES = (16, 18)  # FFmpeg's numbers of SMPTE ST 2084 and ARIB STD-B67
STRAIGHT_WITHIN = 0.02
"""A display matrix turns by right angles where its other entries are below this part of the greater ones."""


@dataclass(frozen=True)
class Display:
    """How the frames of a video are to be shown.

    stored: (height, width) px of the first one. crop: what is cut off it before all else. pixel_aspect: width / height
    of a stored pixel. transposed: rows become columns; flipped_x, flipped_y: then left and right, top and bottom change
    places. interlaced: the first frame has two fields of different times. hdr: its levels are those of a brighter
    screen (PQ, HLG), and are taken as they are.
    """

    stored: tuple[int, int]
    pixel_aspect: float = 1.0
    crop: Crop = Crop()  # noqa: RUF009  # frozen
    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False
    interlaced: bool = False
    hdr: bool = False

    @classmethod
    def of(cls, frame: Any, pixel_aspect: float, crop: Crop) -> Display:
        """Of a decoded PyAV frame. Raises MediaError for a matrix that turns by other than right angles."""
        a, b, c, d = _matrix(frame)
        transposed = abs(b) + abs(c) > abs(a) + abs(d)
        across, down, others = (c, b, (a, d)) if transposed else (a, d, (b, c))
        if not across or not down or max(map(abs, others)) > STRAIGHT_WITHIN * min(abs(across), abs(down)):
            degrees = -math.degrees(math.atan2(b, a))
            raise MediaError(f"is to be shown turned by {degrees:.0f} degrees; only right angles are read")
        crop = crop if crop.fits(frame.width, frame.height) else Crop()
        stored, interlaced = (frame.height, frame.width), bool(frame.interlaced_frame)
        return cls(stored, pixel_aspect, crop, transposed, across < 0, down < 0, interlaced, is_hdr(frame))

    @property
    def mirrored(self) -> bool:
        """Whether left and right are exchanged, whatever turn comes with it."""
        return self.transposed ^ self.flipped_x ^ self.flipped_y

    @property
    def degrees(self) -> int:
        """The clockwise turn, after the mirroring from left to right if there is one."""
        if self.transposed:
            return 90 if self.flipped_x else 270
        return 180 if self.flipped_y else 0

    def shown(self, frame: Any) -> Pixels:
        """RGB (h w 3) of a decoded frame, as displayed; what is transparent shows white."""
        height, width = frame.height, max(1, round(frame.width * self.pixel_aspect))
        if max(height, width) > MOST_SIDE_PX:
            raise MediaError(f"is shown with {width} x {height} px; at most {MOST_SIDE_PX} on a side are read")
        if not self.crop:
            return np.ascontiguousarray(self.turned(_rgb(frame, width)))
        kept = self.cropped(_rgb(frame, frame.width))
        return np.ascontiguousarray(self.turned(_as_wide(kept, max(1, round(kept.shape[1] * self.pixel_aspect)))))

    def cropped(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Stored pixels (h w ...), in whatever size, without what `crop` cuts off."""
        down, along = pixels.shape[0] / self.stored[0], pixels.shape[1] / self.stored[1]
        bottom, right = self.stored[0] - self.crop.bottom, self.stored[1] - self.crop.right
        rows, columns = (self.crop.top * down, bottom * down), (self.crop.left * along, right * along)
        return pixels[slice(*map(round, rows)), slice(*map(round, columns))]

    def turned(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Pixels (h w ...) the way up and round that they are shown."""
        pixels = pixels.swapaxes(0, 1) if self.transposed else pixels
        return pixels[:: -1 if self.flipped_y else 1, :: -1 if self.flipped_x else 1]

    def told(self) -> list[str]:
        """What was done to the stored frames, in words; empty where they are shown as they are."""
        crop = self.crop
        edges = f"{crop.left} px left, {crop.top} above, {crop.right} right and {crop.bottom} below"
        words = [f"cropped as the file says: {edges}"] if crop else []
        words += [f"turned by {self.degrees} degrees"] if self.degrees else []
        words += ["mirrored"] if self.mirrored else []
        words += [f"pixels {self.pixel_aspect:.4g} times as wide as high"] if self.pixel_aspect != 1 else []
        words += ["interlaced: the upper field of each frame is shown"] if self.interlaced else []
        return words + (["HDR: its levels are taken as they are, paler than a player shows them"] if self.hdr else [])


def is_hdr(coded: Any) -> bool:
    """Whether the levels of a PyAV frame, or of what a codec's context says, are PQ's or HLG's."""
    return int(coded.color_trc) in HDR_CURVES


def _matrix(frame: Any) -> tuple[float, float, float, float]:
    """x' = a x + c y, y' = b x + d y: where a stored pixel is shown."""
    try:
        found = next((bytes(each) for each in frame.side_data if each.type.name == "DISPLAYMATRIX"), None)
    except ValueError:  # PyAV lists no side data where there is a kind that it does not know, as Exif; the turn it does
        angle = math.radians(-frame.rotation)
        return math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle)
    a, b, c, d = (1, 0, 0, 1) if found is None else np.frombuffer(found, np.int32)[[0, 1, 3, 4]].tolist()
    return a, b, c, d


def over(rgba: NDArray[np.uint8], background: tuple[int, int, int] = WHITE) -> Pixels:
    """Pixels (h w 4) with straight alpha over a colour, in the levels' own scale."""
    colour, alpha = rgba[..., :3].astype(np.uint16), rgba[..., 3:].astype(np.uint16)
    mixed = colour * alpha + np.array(background, np.uint16) * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def _rgb(frame: Any, width: int) -> Pixels:
    """Opaque RGB (h width 3). Of an interlaced frame the upper field alone, its other lines between those about."""
    from av.video.reformatter import Interpolation

    field = _upper_field(frame) if frame.interlaced_frame and frame.height >= 4 else frame
    has_alpha = frame.format.name == "pal8" or any(each.is_alpha for each in frame.format.components)
    # by default colours are cut off, not rounded, and come out up to 3 levels too dark
    exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    pixels = field.to_ndarray(
        format="rgba" if has_alpha else "rgb24", width=width, height=field.height, interpolation=exact
    )
    pixels = over(pixels) if has_alpha else pixels
    return pixels if field is frame else _lines_between(pixels, frame.height)


def _as_wide(pixels: Pixels, width: int) -> Pixels:
    """The same (h w 3), `width` px wide."""
    if width == pixels.shape[1]:
        return pixels
    import av
    from av.video.reformatter import Interpolation

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND
    return np.asarray(frame.to_ndarray(format="rgb24", width=width, height=frame.height, interpolation=exact), np.uint8)


def _lines_between(field: Pixels, height: int) -> Pixels:
    """A frame of `height` lines of a field that holds every second one, from the first on."""
    whole = np.empty((height, *field.shape[1:]), np.uint8)
    whole[::2] = field
    below = field[np.minimum(np.arange(height // 2) + 1, len(field) - 1)]
    whole[1::2] = (field[: height // 2].astype(np.uint16) + below + 1) // 2
    return whole


def _upper_field(frame: Any) -> Any:
    """Every second line, from the first on, of every plane: half as high as the frame."""
    import av.filter

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base
    )
    field, sink = graph.add("field", "type=top"), graph.add("buffersink")
    source.link_to(field)
    field.link_to(sink)
    graph.configure()
    source.push(frame)
    return sink.pull()
