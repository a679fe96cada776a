"""A stream's state as one safetensors file: tensors, and the rest as JSON in its metadata; nothing in it is run.

    latents            (1 c f h w)
    told               as large: of the image rule `carried`, what the model was told
    cache.0 .. cache.2 keys, values, unrotated keys of the window
    source.*           what stands in the image slot
    tracks.*           points, visibility and ids from the last frame on, where they were known

A file is taken up by the very model that left it: its spec and a fingerprint of its weights are in the metadata.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..checkpoints.load import write_safetensors
from ..checkpoints.spec import ModelSpec, revive
from ..models.kv_cache import CacheState, remembered_frames
from ..tracks import Tracks
from ..tracks.carry import CarriedPicture
from .image_source import CarriedImage, ClipThenCarried, Encoder, ImageSource, StillImage
from .state import StreamState
from .stream import StreamSettings

SUFFIX = ".stream.safetensors"
FORMAT, VERSION = "motionstream-stream", 4
MAX_SIDE_PX, MAX_CHUNK, MAX_REMEMBERED, MAX_STEP = 2**14, 10**9, 10_000, 1000
HEADER = "motionstream_stream"
PICTURE = "picture."
MEMOS = {"_plain", "_shares", "_closed"}
"""Of a carried picture: what it found last, which it finds again."""


class StateFileError(ValueError):
    """A file holds no stream that can be taken up; the message says why."""


@dataclass(frozen=True)
class Maker:
    """Which model left a state: its name, its spec as JSON, and the fingerprint of its weights."""

    name: str
    spec: str
    weights: str


@dataclass(frozen=True)
class _Header:
    """What is no tensor."""

    format: str
    version: int
    maker: Maker
    chunk: int
    size: tuple[int, int]
    settings: StreamSettings
    frames_seen: int
    source: Literal["none", "still", "carried"]
    picture: str = "{}"
    """Of a carried picture what is no tensor, as JSON."""


def write_state(path: Path, state: StreamState, maker: Maker) -> None:
    """Write `state` of a stream by `maker`; the file appears when it is whole."""
    tensors = {"latents": state.latents} | {f"cache.{k}": each for k, each in enumerate(state.cache.buffers)}
    if state.told is not None:
        tensors["told"] = state.told
    if state.tracks is not None:
        tracks = state.tracks
        tensors |= {"tracks.points": tracks.points, "tracks.visibility": tracks.visibility, "tracks.ids": tracks.ids}
        tensors["tracks.size"] = torch.tensor([tracks.height, tracks.width])
    held, about = _source_parts(state.source)
    tensors |= {f"source.{name}": tensor.clone() for name, tensor in held.items()}  # files share no memory
    header = _Header(
        FORMAT, VERSION, maker, state.chunk, state.size, state.settings, state.cache.num_frames_seen, **about
    )
    write_safetensors(path, tensors, {HEADER: json.dumps(dataclasses.asdict(header))})


def read_state(path: Path, maker: Maker, vae: Encoder, device: torch.device) -> StreamState:
    """The state in a file, for `maker` to go on with. vae, device: what the image slot's picture is encoded by, where.

    Raises StateFileError, which names the file, for one that is cut off or is no state of a stream, for another
    version, and for another model.
    """
    try:
        header, tensors = _read(path)
        _check_maker(header.maker, maker)
        return _state(header, tensors, ModelSpec.from_json(header.maker.spec), vae, device)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise StateFileError(f"{path.name}: {_words(error)}") from None


def _words(error: Exception) -> str:
    if isinstance(error, StateFileError):
        return str(error)
    return f"this is no saved stream, or one that was cut off ({error}); save it again"


def _read(path: Path) -> tuple[_Header, dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get(HEADER)
        if text is None:
            raise StateFileError("this file holds something else than a stream; choose one that a streamer saved")
        values = json.loads(text)
        if values["format"] != FORMAT or values["version"] != VERSION:
            raise StateFileError(
                f"it is of version {values['version']!r}, and this release reads version {VERSION}; make the stream "
                f"again, or use the release that saved it"
            )
        header = revive(_Header, values, "stream")
        return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _check_maker(was: Maker, now: Maker) -> None:
    if was.weights != now.weights:
        raise StateFileError(
            f"this stream was made by {was.name}, and the weights of {now.name} are others; load the model that made it"
        )
    if was.spec != now.spec:
        raise StateFileError(
            f"this stream was made by {was.name} with other chunks or another description of it; use the release "
            f"and the settings that made it"
        )


def _state(
    header: _Header, tensors: dict[str, Tensor], spec: ModelSpec, vae: Encoder, device: torch.device
) -> StreamState:
    _check_numbers(header)
    channels, stride = spec.backbone.out_channels, spec.vae_stride.space
    height, width = (side // stride for side in header.size)
    latents = tensors["latents"]
    start = spec.chunk_plan.chunk(header.chunk).start
    if latents.ndim != 5 or latents.shape[:2] != (1, channels) or latents.shape[3:] != (height, width):
        raise ValueError(f"latents of shape {tuple(latents.shape)}")
    if not latents.isfinite().all() or header.frames_seen != start:
        raise ValueError("values that no stream leaves")
    cache = CacheState(start, tuple(tensors[f"cache.{k}"] for k in range(3)))
    _check_cache(cache, header, spec)
    held = {name.removeprefix("source."): each for name, each in tensors.items() if name.startswith("source.")}
    source = _source_of(header, held, spec, vae, device)
    told = tensors["told"] if spec.image_rule == "carried" else None
    if told is not None and (told.shape != latents.shape or not told.isfinite().all()):
        raise ValueError(f"told latents of shape {tuple(told.shape)}")
    return StreamState(header.chunk, header.size, header.settings, latents, cache, source, _tracks(tensors), told)


def _check_numbers(header: _Header) -> None:
    """Raise ValueError for a header of numbers that no stream has; what they ask for is built before it is used."""
    settings = header.settings
    for name, values, most in (
        ("size", header.size, MAX_SIDE_PX),
        ("chunk", (header.chunk,), MAX_CHUNK),
        ("seed", (settings.seed,), 2**64 - 1),
        ("sink and window", (settings.sink_frames or 0, settings.window_frames or 0), MAX_REMEMBERED),
        ("steps", settings.step_list or (), MAX_STEP),
        ("number of steps", (len(settings.step_list or ()),), MAX_STEP),
    ):
        if not all(0 <= value <= most for value in values):
            raise ValueError(f"its {name} are out of range")


def _check_cache(cache: CacheState, header: _Header, spec: ModelSpec) -> None:
    """Raise ValueError unless the buffers are those of a cache of this model, size, sink and window."""
    backbone, settings = spec.backbone, header.settings
    sink, window = settings.sink_frames or 0, settings.window_frames or 0
    rows, columns = (
        side // spec.vae_stride.space // patch for side, patch in zip(header.size, backbone.patch[1:], strict=True)
    )
    context = len(remembered_frames(cache.num_frames_seen, sink, window))
    unrotated = 0 if spec.rope_rule == "absolute" else max(0, context - sink)
    for buffer, frames in zip(cache.buffers, (context, context, unrotated), strict=True):
        heads, head_dim = backbone.num_heads, backbone.dim // backbone.num_heads
        wanted = (backbone.num_layers, 1, frames * rows * columns, heads, head_dim)
        if tuple(buffer.shape) != wanted or not buffer.is_floating_point():
            raise ValueError(f"a memory of shape {tuple(buffer.shape)}, not {wanted}")


def _tracks(tensors: Mapping[str, Tensor]) -> Tracks | None:
    if "tracks.points" not in tensors:
        return None
    height, width = tensors["tracks.size"].tolist()
    return Tracks(tensors["tracks.points"], tensors["tracks.visibility"], height, width, tensors["tracks.ids"])


def _source_parts(source: ImageSource | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, fields of the header) of what stands in the image slot."""
    if source is None:
        return {}, {"source": "none"}
    if isinstance(source, StillImage):
        return {"latents": source.latents}, {"source": "still"}
    if isinstance(source, ClipThenCarried):
        source = source.after
    assert isinstance(source, CarriedImage) and source.carried is not None
    tensors, numbers = {"first": source.first}, {}
    if source.still is not None:
        tensors["still"] = source.still
    for field in dataclasses.fields(source.carried):
        value = getattr(source.carried, field.name)
        if isinstance(value, Tensor):
            tensors[PICTURE + field.name] = value
        elif field.name not in MEMOS:
            numbers[field.name] = value
    return tensors, {"source": "carried", "picture": json.dumps(numbers)}


def _source_of(
    header: _Header, held: Mapping[str, Tensor], spec: ModelSpec, vae: Encoder, device: torch.device
) -> ImageSource | None:
    if header.source == "none":
        return None
    if header.source == "still":
        return StillImage(held["latents"])
    numbers: dict[str, Any] = json.loads(header.picture)
    if not all(isinstance(each, int | float) for value in numbers.values() for each in _listed(value)):
        raise ValueError("a picture of other values than numbers")
    inner = {name.removeprefix(PICTURE): each for name, each in held.items() if name.startswith(PICTURE)}
    if {*inner, *numbers, *MEMOS} != {field.name for field in dataclasses.fields(CarriedPicture)}:
        raise ValueError("a picture of other parts")
    picture = CarriedPicture(**inner, **numbers)
    for each in (held["first"], picture.picture, picture.shown):
        if each.shape != (3, *header.size):
            raise ValueError(f"a picture of shape {tuple(each.shape)}")
    for pieces in (inner["_pieces"], inner["_pieces_shown"]):
        if pieces.shape != header.size or pieces.dtype != torch.uint8:
            raise ValueError(f"pieces of shape {tuple(pieces.shape)}, {pieces.dtype}")
    still = held["still"].to(device) if "still" in held else None
    return CarriedImage(vae, spec.vae_stride, held["first"].to(device), picture.side, picture, still)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
