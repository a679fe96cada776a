"""What both samplers check and prepare: sizes and lengths that fit a checkpoint, the image, the prompt, the motion."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..motionstream_core.checkpoints import ModelSpec
from ..motionstream_core.geometry import VideoShape
from ..motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from ..motionstream_core.tracks import Tracks
from .frame_fit import Size, fit_image
from .models import StreamModel, StreamVae
from .types import Motion

SIZE_TOOLTIP = "{side} of the video in px; 0 takes the size that the checkpoint was trained at (bundled: 128)."


@dataclass(frozen=True)
class Clip:
    """A video to be made: `num_latent_frames` of `size`, from a fitted image (1 3 1 h w) and tracks of that size."""

    image: Tensor
    size: Size
    num_latent_frames: int
    tracks: Tracks


def plan_clip(
    model: StreamModel,
    vae: StreamVae,
    image: Tensor,
    motion: Motion | None,
    *,
    role: str,
    width: int,
    height: int,
    length: int,
    fit: str,
) -> Clip:
    """Everything that can be wrong is found here, before anything is loaded.

    Raises ValueError that begins with the input's name and names the nearest values that fit.
    """
    spec = model.spec
    if spec.role != role:
        other = "MotionStream Teacher Sampler" if spec.role == "teacher" else "MotionStream Student Streamer"
        raise ValueError(f"model: {model.name} is a {spec.role}, and this node takes a {role}; use the {other}")
    _require_fitting_vae(spec, vae)
    size = frame_size(spec, height, width)
    num_latent_frames = latent_length(spec, length)
    tracks = Tracks.empty(1, *size) if motion is None else motion.tracks
    if (tracks.height, tracks.width) != size:
        raise ValueError(
            f"motion: it was made for {tracks.width} x {tracks.height} px, but this video is {size[1]} x {size[0]} px; "
            f"give the MotionStream Track Head the same width and height"
        )
    return Clip(fit_image(image, size, fit), size, num_latent_frames, tracks)


def clip_conditions(model: StreamModel, vae: StreamVae, clip: Clip, prompt: str) -> StreamConditions:
    """The conditions of `clip`; model and VAE are on their devices. Raises ValueError for an unknown word."""
    loaded = model.loaded
    return StreamConditions(
        loaded.model,
        loaded.spec,
        encode_prompt(loaded.model, loaded.spec, prompt.strip()),
        KnownTracks(clip.tracks),
        image=clip.image,
        vae=vae,
        frame_size=clip.size,
    )


def frame_size(spec: ModelSpec, height: int, width: int) -> Size:
    """(height, width) with 0 standing for the trained size. Raises ValueError naming the nearest sides that fit."""
    size = (height or spec.frame_size[0], width or spec.frame_size[1])
    spec.vae_stride.latent_shape(VideoShape(1, *size), spec.backbone.out_channels, spec.backbone.patch)
    return size


def latent_length(spec: ModelSpec, length: int) -> int:
    """Latent frames of `length` frames. Raises ValueError naming the nearest lengths: whole chunks for a student."""
    if spec.role == "teacher":
        try:
            return spec.vae_stride.num_latent_frames(length)
        except ValueError as error:
            raise ValueError(f"length: {error}") from None
    first, step = _first_and_step(spec)
    rest = length - first
    if rest < 0 or rest % step:
        below = first + max(0, rest // step) * step
        nearest = str(first) if rest < 0 else f"{below} or {below + step}"
        raise ValueError(
            f"length: this checkpoint streams {describe_lengths(spec)} frames, not {length}; "
            f"nearest that fit: {nearest}"
        )
    return spec.vae_stride.num_latent_frames(length)


def describe_lengths(spec: ModelSpec) -> str:
    """The lengths that a checkpoint makes, as in "1 + 12 * k"."""
    if spec.role == "teacher":
        return f"1 + {spec.vae_stride.time} * k"
    first, step = _first_and_step(spec)
    return f"{first} + {step} * k"


def _first_and_step(spec: ModelSpec) -> tuple[int, int]:
    """Frames of a student's first chunk and of every later one."""
    first = spec.vae_stride.num_frames(spec.chunk_plan.chunk(0).stop)
    return first, spec.vae_stride.time * spec.chunk_plan.chunk_frames


def _require_fitting_vae(spec: ModelSpec, vae: StreamVae) -> None:
    config, channels = vae.vae.config, spec.backbone.out_channels
    if config.latent_channels != channels or config.stride != spec.vae_stride:
        raise ValueError(
            f"vae: {vae.name} makes {config.latent_channels} channels at stride {config.stride.time} x "
            f"{config.stride.space}, but this checkpoint takes {channels} at {spec.vae_stride.time} x "
            f"{spec.vae_stride.space}; load the VAE that belongs to it"
        )
