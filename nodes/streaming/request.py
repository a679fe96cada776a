"""What both samplers check and prepare: sizes and lengths that fit a checkpoint, the image, the prompt, the motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...motionstream_core.checkpoints import ModelSpec
from ...motionstream_core.geometry import VideoShape
from ...motionstream_core.models.wan import CrossContext
from ...motionstream_core.streaming.conditions import KnownTracks, StreamConditions, TrackSource
from ...motionstream_core.streaming.going_on import Before, Beginning, begin
from ...motionstream_core.streaming.image_source import ImageSource, image_source
from ...motionstream_core.streaming.stream import StreamSettings
from ...motionstream_core.tracks import Tracks
from ..frame_fit import PICTURE_FITS, Size, fit_image
from ..host.conditioning import TRACKS, Conditioning, padded_text, require_track_head
from ..host.model import StreamModel
from ..host.network import text_tokens
from ..host.vae import Coders, Vae, require_fitting_coders
from ..sockets import Motion
from ..tracks.sizes import brought, over_frame
from .going_on import Given, read_before

SIZE_TOOLTIP = "{side} of the video in px; 0 takes the size that the checkpoint was trained at (bundled: 128)."
GivenMotion = Motion | dict[str, Any]


@dataclass(frozen=True)
class Text:
    """A prompt as a checkpoint reads it: text (1 l c) and, where it looks at the image through CLIP, tokens (1 m d)."""

    tokens: Tensor
    clip_tokens: Tensor | None = None

    def context(self, model: StreamModel) -> CrossContext:
        """Its cross-attention keys; the model is ready."""
        return model.context(self.tokens, self.clip_tokens)


@dataclass(frozen=True)
class Clip:
    """A video to be made: `num_latent_frames` (None: until stopped) of `size`.

    image: fitted, (1 3 1 h w), None for text-to-video; tracks: of that size. told: what was done to the tracks for
    that, a line or none. before: what the stream goes on from, which num_latent_frames counts; the tracks then begin
    with its last frame.
    """

    image: Tensor | None
    size: Size
    num_latent_frames: int | None
    tracks: Tracks
    told: tuple[str, ...] = ()
    before: Before | None = None

    @property
    def saved_settings(self) -> StreamSettings | None:
        """Those of the saved stream that goes on."""
        return None if self.before is None or self.before.state is None else self.before.state.settings

    def num_frames(self, spec: ModelSpec) -> int | None:
        """Frames that are made; None until stopped."""
        if self.num_latent_frames is None:
            return None
        known = 0 if self.before is None else spec.vae_stride.num_frames(self.before.num_latent_frames(spec))
        return spec.vae_stride.num_frames(self.num_latent_frames) - known


def plan_clip(
    model: StreamModel,
    coders: Coders,
    image: Tensor | None,
    motion: GivenMotion | None,
    *,
    role: str,
    width: int,
    height: int,
    num_frames: int | None,
    fit: str,
    positive: Conditioning | None = None,
    go_on_from: Given | None = None,
) -> Clip:
    """Everything that can be wrong is found here, before anything is loaded.

    num_frames: a length that the checkpoint makes, None for no end; of what is new, where it goes on. Without `motion`,
    the tracks that `positive` holds count. Raises ValueError that begins with the input's name and names the nearest
    values that fit.
    """
    spec = model.spec
    if spec.role != role:
        other = "MotionStream Teacher Sampler" if spec.role == "teacher" else "MotionStream Student Streamer"
        raise ValueError(f"model: {model.name} is a {spec.role}, and this node takes a {role}; use the {other}")
    require_fitting_coders(spec, coders)
    if go_on_from is not None:
        if image is not None:
            raise ValueError("image: go_on_from shows already what the video begins with; disconnect one of the two")
        before = read_before(model, coders.encoder, go_on_from, frame_size(spec, height, width), (height, width), fit)
        return _going_on(spec, before, num_frames, motion, positive, fit)
    size = frame_size(spec, height, width)
    num_latent_frames = None if num_frames is None else spec.vae_stride.num_latent_frames(num_frames)
    tracks, told = _tracks(spec, motion, positive, size, fit)
    return Clip(_fitted(spec, image, size, fit), size, num_latent_frames, tracks, (told,) if told else ())


def _going_on(
    spec: ModelSpec,
    before: Before,
    num_frames: int | None,
    motion: GivenMotion | None,
    positive: Conditioning | None,
    fit: str,
) -> Clip:
    """Without motion the tracks of a saved stream go on."""
    tracked = motion is not None or _held(positive) is not None
    given, told = _tracks(spec, motion, positive, before.size, fit) if tracked else (None, "")
    tracks = before.tracks_after(given)
    count = None if num_frames is None else before.num_latent_frames(spec) + num_frames // spec.vae_stride.time
    return Clip(None, before.size, count, tracks, (told,) if told else (), before)


def _fitted(spec: ModelSpec, image: Tensor | None, size: Size, fit: str) -> Tensor | None:
    if spec.image_rule == "none" and image is not None:
        raise ValueError("image: this checkpoint makes video from text alone; disconnect the image")
    if spec.image_rule != "none" and image is None:
        raise ValueError("image: this checkpoint starts from an image; connect one")
    return None if image is None else fit_image(image, size, fit)


def _tracks(
    spec: ModelSpec, motion: GivenMotion | None, positive: Conditioning | None, size: Size, fit: str
) -> tuple[Tracks, str]:
    held = _held(positive)
    if motion is not None or held is not None:
        require_track_head(spec, "motion")
    if motion is not None:
        return tracks_of(motion, size, fit)
    return (Tracks.empty(1, *size), "") if held is None else brought(held, size, PICTURE_FITS[fit], "positive")


def _held(positive: Conditioning | None) -> Tracks | None:
    return positive[0][1].get(TRACKS) if positive else None


def tracks_of(motion: GivenMotion, size: Size, fit: str) -> tuple[Tracks, str]:
    """Tracks in px of a video of `size`, from TRACKS or a Motion, and what was done to them for that, in words.

    fit: how those that name another size are brought along. Raises ValueError that begins with "motion" for malformed
    ones, and where no size is named and most lie outside the video.
    """
    if isinstance(motion, Motion):
        return brought(motion.tracks, size, PICTURE_FITS[fit], "motion")
    return over_frame(motion, size, PICTURE_FITS[fit], "motion")


def read_text(
    model: StreamModel, prompt: str, given: Conditioning | None, which: str, clip_vision_output: Any = None
) -> Text:
    """The prompt, read by the checkpoint's own encoder, or what another encoder made of one (`given`).

    clip_vision_output: the image as CLIP Vision sees it; without it, what `given` holds of that.

    Raises ValueError, beginning with the input's name, where the checkpoint needs the other one, and for both at once.
    """
    if given is None:
        try:
            return Text(text_tokens(model.network, prompt))
        except ValueError as error:
            raise ValueError(f"{which if model.network.text_encoder is None else 'prompt'}: {error}") from None
    if prompt.strip():
        raise ValueError(f"prompt: {which} already says what the video shows; clear the prompt or disconnect {which}")
    if len(given) != 1:
        raise ValueError(f"{which}: it holds {len(given)} prompts at once; this node takes one")
    tokens, options = given[0]
    seen = options.get("clip_vision_output") if clip_vision_output is None else clip_vision_output
    if model.spec.backbone.image_dim is None:
        return Text(padded_text(tokens, model.spec, which))
    if seen is None:
        raise ValueError(
            "clip_vision_output: this checkpoint also looks at the image through CLIP Vision; connect CLIPVisionEncode"
        )
    return Text(padded_text(tokens, model.spec, which), seen.penultimate_hidden_states)


def clip_image_source(spec: ModelSpec, vae: Vae, clip: Clip) -> ImageSource | None:
    """The image of `clip` as the checkpoint reads it; the VAE is ready, the model need not be."""
    return None if clip.image is None else image_source(spec, vae, clip.image)


def clip_beginning(spec: ModelSpec, vae: Vae, clip: Clip) -> Beginning:
    """How the stream of `clip` begins; the VAE is ready, the model need not be."""
    if clip.before is None:
        return Beginning(clip_image_source(spec, vae, clip), KnownTracks(clip.tracks))
    return begin(spec, vae, clip.before, clip.tracks)


def clip_conditions(
    model: StreamModel, clip: Clip, text: Text, image: ImageSource | None, tracks: TrackSource | None = None
) -> StreamConditions:
    """The conditions of `clip`, with its own tracks or others that are still to come; the model is ready."""
    source = KnownTracks(clip.tracks) if tracks is None else tracks
    context = text.context(model)
    return StreamConditions(model.model, model.spec, context, source, source=image, frame_size=clip.size)


def frame_size(spec: ModelSpec, height: int, width: int) -> Size:
    """(height, width) with 0 standing for the trained size. Raises ValueError naming the nearest sides that fit."""
    size = (height or spec.frame_size[0], width or spec.frame_size[1])
    spec.vae_stride.latent_shape(VideoShape(1, *size), spec.backbone.out_channels, spec.backbone.patch)
    return size
