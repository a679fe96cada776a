"""From one entry of a CONDITIONING to the channels that a checkpoint takes beside the noise.

Our own keys: TRACKS, a `Tracks` in px of the video; NO_MOTION, the same with its map at zero. The image is core's
`concat_latent_image`, in the VAE's space, and what is known of it core's `concat_mask` (0: known).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...motionstream_core.checkpoints import ModelSpec
from ...motionstream_core.models.conditioning import first_frame_mask
from ...motionstream_core.models.track_wan import TrackWan
from ...motionstream_core.streaming.conditions import KnownTracks, motion_latents
from ...motionstream_core.tracks import Tracks

TRACKS = "motionstream_tracks"
NO_MOTION = "motionstream_no_motion"
IMAGE = "concat_latent_image"
MASK = "concat_mask"
TRACK_FRAMES_AT_ONCE = 3  # latent frames

Conditioning = list[list[Any]]


def with_values(conditioning: Conditioning, values: Mapping[str, Any]) -> Conditioning:
    """A CONDITIONING whose every entry also holds `values`; the given one stays as it is."""
    return [[text, {**options, **values}] for text, options in conditioning]


def has_tracks(conditioning: Conditioning) -> bool:
    """Whether any entry holds tracks."""
    return any(TRACKS in options for _, options in conditioning)


def padded_text(text: Tensor | None, spec: ModelSpec, which: str) -> Tensor:
    """Text (b l c) padded with zeros to the checkpoint's length, so that prompts batch.

    Raises ValueError, beginning with `which`, for text of another encoder or of too many tokens.
    """
    config = spec.backbone
    if text is None or text.ndim != 3 or text.shape[2] != config.text_dim:
        found = "no text" if text is None else f"text of shape {tuple(text.shape)}"
        source = (
            "MotionStream Text Encode" if spec.vocabulary else "CLIPTextEncode with Wan's UMT5 (CLIPLoader, type wan)"
        )
        raise ValueError(
            f"{which}: it holds {found}, but this checkpoint reads {config.text_dim} channels; use {source}"
        )
    if text.shape[1] > config.text_len:
        raise ValueError(
            f"{which}: the prompt has {text.shape[1]} tokens, but this checkpoint reads {config.text_len}; shorten it"
        )
    return F.pad(text, (0, 0, 0, config.text_len - text.shape[1]))


def latent_conditions(
    model: TrackWan, latent_format: Any, shape: Sequence[int], given: Mapping[str, Any], which: str
) -> dict[str, Tensor]:
    """mask, image, track (each (1 c f h w)) and clean_first (1 c 1 h w), those that the checkpoint takes.

    shape: of the noise, (b c f h w). Raises ValueError, beginning with `which`, for an image that is missing, not
    wanted, or of another size, and for tracks that the checkpoint cannot follow.
    """
    spec: ModelSpec = model.spec  # type: ignore[assignment]  # a HostedWan's
    count, size = shape[2], (shape[3], shape[4])
    image = _image(spec, latent_format, count, size, given.get(IMAGE), which)
    found: dict[str, Tensor] = {}
    if image is not None:
        if spec.layout.width("image"):
            found["image"] = image
        if spec.pin_first_latent:
            found["clean_first"] = image[:, :, :1]
    if spec.layout.width("mask"):
        found["mask"] = _mask(count, size, given.get(MASK), which)
    track = _track(model, spec, count, size, given, which)
    if track is not None:
        found["track"] = track
    return found


def _image(
    spec: ModelSpec, latent_format: Any, count: int, size: tuple[int, int], latents: Tensor | None, which: str
) -> Tensor | None:
    require_whole_image(spec, which)
    if spec.image_rule == "none":
        if latents is not None:
            raise ValueError(f"{which}: it holds an image, but this checkpoint makes video from text alone")
        return None
    if latents is None:
        raise ValueError(f"{which}: this checkpoint starts from an image; pass it through MotionStream Apply Motion")
    if latents.shape[1] != spec.backbone.out_channels or tuple(latents.shape[3:]) != size:
        raise ValueError(
            f"{which}: its image has latents of shape {tuple(latents.shape)}, but {spec.backbone.out_channels} "
            f"channels of {size[0]} x {size[1]} are needed; give the same width and height, and its own VAE"
        )
    image = latent_format.process_in(latents)
    if spec.image_rule == "first_latent":
        return F.pad(image[:, :, :1], (0, 0, 0, 0, 0, count - 1))
    return image[:, :, torch.arange(count).clamp(max=image.shape[2] - 1).to(image.device)]


def _mask(count: int, size: tuple[int, int], unknown: Tensor | None, which: str) -> Tensor:
    if unknown is None:
        return first_frame_mask(count, *size, torch.empty(0))
    if tuple(unknown.shape[-3:]) != (count, *size):
        raise ValueError(f"{which}: its mask is {tuple(unknown.shape)}, but the video is {(count, *size)} (f, h, w)")
    return (1 - unknown).expand(-1, 4, -1, -1, -1)


def _track(
    model: TrackWan, spec: ModelSpec, count: int, size: tuple[int, int], given: Mapping[str, Any], which: str
) -> Tensor | None:
    tracks: Tracks | None = given.get(TRACKS)
    if tracks is not None:
        require_track_head(spec, which)
    if spec.track_head is None:
        return None
    if tracks is None or given.get(NO_MOTION):
        device, _ = model.placement
        return torch.zeros(1, spec.layout.width("track"), count, *size, device=device)
    stride = spec.vae_stride.space
    frame_size = (size[0] * stride, size[1] * stride)
    if (tracks.height, tracks.width) != frame_size:
        logging.info(
            "MotionStream: %s: tracks of %d x %d px, stretched to the latent's %d x %d px",
            *(which, tracks.width, tracks.height, frame_size[1], frame_size[0]),
        )
    source, maps = KnownTracks(tracks.rescaled(*frame_size)), []
    for start in range(0, count, TRACK_FRAMES_AT_ONCE):  # a few at a time, lest a long clip's maps fill memory
        stop = min(start + TRACK_FRAMES_AT_ONCE, count)
        told = source.at_frames(*spec.vae_stride.frame_span(start, stop))
        maps.append(motion_latents(model, spec, told, at_start=start == 0))
    return torch.cat(maps, dim=2)


def require_whole_image(spec: ModelSpec, which: str) -> None:
    """Raises ValueError, beginning with the input's name, for a checkpoint whose image depends on the chunk."""
    if spec.image_rule == "carried":
        raise ValueError(
            f"{which}: this checkpoint is given its image as the tracks drag it, chunk by chunk, which core's samplers "
            "cannot do; use MotionStream Student Streamer or MotionStream Live, or load bundled/student"
        )


def require_track_head(spec: ModelSpec, which: str) -> None:
    """Raises ValueError, beginning with the input's name, for a checkpoint that cannot follow tracks."""
    try:
        spec.check_takes_motion()
    except ValueError as error:
        raise ValueError(f"{which}: {error}") from None
