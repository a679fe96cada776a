"""ModelSpec: everything that code must know of a checkpoint and must not guess."""

from __future__ import annotations

import dataclasses
import json
import types
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..diffusion.schedule import student_sigmas
from ..geometry import ChunkPlan, ClipLengths, VaeStride
from ..models.conditioning import InputLayout
from ..models.kv_cache import RopeRule
from ..models.track_head import TrackHeadConfig
from ..models.wan import WanConfig
from .files import object_in
from .ranges import check_ranges, short

Role = Literal["teacher", "student"]
ImageRule = Literal["none", "first_latent", "grey_clip", "carried"]
FORMAT_VERSION = 1
LARGEST_WHOLE_FLOAT = 2**53  # up to which a float holds every whole number


@dataclass(frozen=True)
class ModelSpec:
    """What a checkpoint is and how it wants to be run; stored as JSON in the safetensors metadata.

    role: "teacher" (bidirectional, many steps, joint guidance) or "student" (causal, few steps, no guidance).
    image_rule: image latents beside the noise: "none"; "first_latent" (the image's latent in latent frame 0, zeros
        after it); "grey_clip" (the encoding of a clip that is the image and then mid-grey: Wan 2.1 I2V, Track-v0);
        "carried" (the encoding of a clip that is the image as its tracks drag it, `tracks.carry`; the mask's first two
        channels then say which share of a cell was moved there, and moved away).
    image_skip: above 0, the deviation of clean latents about the image's, which the model then starts from
        (`models.track_wan.ImageSkip`); 0 for none.
    pin_first_latent: latent frame 0 is the image latent itself and is not denoised.
    chunk_plan, sink_frames, window_frames: the student's stream, in latent frames.
    rope_rule: how cached keys are rotated (`models.kv_cache`).
    step_list: the student's timesteps before the shift; shift: of either role's schedule.
    text_weight, motion_weight: the teacher's joint guidance by default.
    vocabulary: words of the bundled text encoder; empty for models that read UMT5.
    frame_size: (height, width) px that the model was trained at; fps: frames per second.
    """

    role: Role
    backbone: WanConfig
    layout: InputLayout
    track_head: TrackHeadConfig | None = None
    vae_stride: VaeStride = field(default_factory=VaeStride)
    image_rule: ImageRule = "none"
    pin_first_latent: bool = False
    image_skip: float = 0.0
    chunk_plan: ChunkPlan = field(default_factory=ChunkPlan)
    sink_frames: int = 3
    window_frames: int = 3
    rope_rule: RopeRule = "sink_fixed"
    step_list: tuple[int, ...] = (1000, 667, 333)
    shift: float = 6.0
    text_weight: float = 3.0
    motion_weight: float = 1.5
    vocabulary: tuple[str, ...] = ()
    frame_size: tuple[int, int] = (480, 832)
    fps: float = 16.0

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.layout.num_channels != self.backbone.in_channels:
            raise ValueError(
                f"layout has {self.layout.num_channels} channels, but the backbone takes {self.backbone.in_channels}"
            )
        wanted = self.track_head.out_channels if self.track_head else 0
        if self.layout.width("track") != wanted:
            raise ValueError(
                f"layout has {self.layout.width('track')} track channels, but the track head gives {wanted}"
            )
        if self.layout.width("noise") != self.backbone.out_channels:
            raise ValueError(
                f"layout has {self.layout.width('noise')} noise channels, but the backbone gives "
                f"{self.backbone.out_channels}"
            )
        head, vae = self.track_head, self.vae_stride
        if head and (head.time_stride, head.space_stride) != (vae.time, vae.space):
            raise ValueError(
                f"the track head's strides ({head.time_stride}, {head.space_stride}) are not the VAE's "
                f"({vae.time}, {vae.space})"
            )
        student_sigmas(self.step_list, self.shift)  # raises for an empty or rising list
        if self.image_skip and (self.layout.width("image") != self.layout.width("noise")):
            raise ValueError(
                f"image_skip is {self.image_skip} with {self.layout.width('image')} image channels; it must be 0, or "
                f"above it where there are as many as of noise"
            )
        if self.image_rule == "carried" and self.layout.width("mask") < 2:
            raise ValueError("image_rule 'carried' needs a mask of at least two channels")
        if self.pin_first_latent and self.image_rule == "none":
            raise ValueError("pin_first_latent needs an image: image_rule must not be 'none'")

    @property
    def lengths(self) -> ClipLengths:
        """Lengths of video that this checkpoint makes."""
        stride, plan = self.vae_stride, self.chunk_plan
        if self.role == "teacher":
            return ClipLengths(1, stride.time)
        return ClipLengths(stride.num_frames(plan.first_chunk_frames), stride.time * plan.chunk_frames)

    @property
    def chunk_lengths(self) -> ClipLengths:
        """Lengths, in frames, of what a student makes where it goes on from something."""
        chunk = self.vae_stride.time * self.chunk_plan.chunk_frames
        return ClipLengths(chunk, chunk)

    def with_chunks(self, chunk_frames: int | None) -> ModelSpec:
        """With chunks of so many latent frames, None: its own. Raises ValueError for fewer than 1."""
        plan = self.chunk_plan
        if chunk_frames is None or chunk_frames == plan.chunk_frames:
            return self
        first = 1 if plan.first_chunk_frames == 1 else chunk_frames
        return dataclasses.replace(self, chunk_plan=ChunkPlan(chunk_frames, first))

    def cache_bytes(
        self,
        frame_size: tuple[int, int],
        element_bytes: int,
        sink_frames: int | None = None,
        window_frames: int | None = None,
    ) -> int:
        """Memory of one stream's cache at `frame_size` (height, width) px: `KVCache.num_bytes` before there is one.

        sink_frames, window_frames: None for the checkpoint's own.
        """
        backbone, stride = self.backbone, self.vae_stride.space
        sink = self.sink_frames if sink_frames is None else sink_frames
        window = self.window_frames if window_frames is None else window_frames
        rows, columns = (side // stride // patch for side, patch in zip(frame_size, backbone.patch[1:], strict=True))
        frames = 2 * (sink + window + self.chunk_plan.chunk_frames) + (0 if self.rope_rule == "absolute" else window)
        return backbone.num_layers * frames * rows * columns * backbone.dim * element_bytes

    def check_takes_motion(self) -> None:
        """Raise ValueError, saying why, for a model that cannot follow tracks."""
        if self.track_head is None:
            raise ValueError(
                "this checkpoint has no track head: it was trained without trajectories, as plain Wan, Self-Forcing, "
                "LongLive and Causal-Forcing are, so it cannot follow tracks. Give it no tracks, or load a model that "
                "has a track head (docs/models.md)"
            )

    def to_json(self) -> str:
        """The spec as JSON text with its format version."""
        return json.dumps({"version": FORMAT_VERSION, **dataclasses.asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Read `to_json`'s text.

        Raises ValueError naming an unknown version, or a field that is missing, unknown, or out of its range.
        """
        try:
            values = object_in(text)
        except ValueError as error:
            raise ValueError(f"model spec: {error}") from None
        version = values.pop("version", None)
        if type(version) is not int or version != FORMAT_VERSION:
            raise ValueError(f"model spec version is {short(version)}; this release reads version {FORMAT_VERSION}")
        return revive(cls, values, "spec")


def revive(hint: Any, value: Any, where: str) -> Any:
    """A value of the annotated type from its JSON form; dataclasses and tuples nest.

    Raises ValueError naming the field, as a path that starts with `where`, that is missing, unknown or of another type.
    """
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return None if value is None else revive(inner[0], value, where)
    if dataclasses.is_dataclass(hint):
        known = {f.name for f in dataclasses.fields(hint)}
        if not isinstance(value, dict):
            raise ValueError(f"{where} is {short(value)}; it must be an object")
        if unknown := sorted(value.keys() - known):
            raise ValueError(f"{where}: unknown field {short(unknown[0])}")
        required = {
            f.name
            for f in dataclasses.fields(hint)
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        }
        if missing := sorted(required - value.keys()):
            raise ValueError(f"{where}: field {missing[0]!r} is missing")
        hints = get_type_hints(hint)
        return hint(**{name: revive(hints[name], item, f"{where}.{name}") for name, item in value.items()})  # type: ignore[operator]
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where} is {short(value)}; it must be a list")
        args = get_args(hint)
        inner = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else args
        if len(value) != len(inner):
            raise ValueError(f"{where} is {short(value)}; it must have {len(inner)} entries")
        return tuple(revive(arg, item, where) for arg, item in zip(inner, value, strict=True))
    if origin is Literal and value not in get_args(hint):
        raise ValueError(f"{where} is {short(value)}; known are {', '.join(map(str, get_args(hint)))}")
    if hint is float and type(value) is int and abs(value) <= LARGEST_WHOLE_FLOAT:
        return float(value)
    if isinstance(hint, type) and type(value) is not hint:  # True is an int by isinstance
        raise ValueError(f"{where} is {short(value)}; it must be of type {hint.__name__}")
    return value
