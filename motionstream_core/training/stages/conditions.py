"""What a model is conditioned on in training: a batch of whole clips, and what of it is withheld."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...checkpoints.spec import ModelSpec
from ...geometry import ChunkPlan
from ...models.conditioning import Conditions, first_frame_mask
from ...models.track_wan import TrackWan
from ...tracks import NUM_IDS
from ..data import Batch


@dataclass(frozen=True)
class Conditioned:
    """What each sample of a batch is conditioned on.

    text, motion: bool (b), False where the whole condition is dropped. motion_frames: bool (b f), False in latent
    frames whose track map is zeroed, or None to keep all.
    """

    text: Tensor
    motion: Tensor
    motion_frames: Tensor | None = None

    @classmethod
    def on_everything(cls, batch_size: int) -> Conditioned:
        """Nothing is withheld."""
        conditioned = torch.ones(batch_size, dtype=torch.bool)
        return cls(conditioned, conditioned)

    def to(self, device: torch.device) -> Conditioned:
        """The same on `device`."""
        frames = None if self.motion_frames is None else self.motion_frames.to(device)
        return Conditioned(self.text.to(device), self.motion.to(device), frames)

    def without_motion(self) -> Conditioned:
        """The same with the motion of every sample dropped."""
        return replace(self, motion=torch.zeros_like(self.motion))


def conditions_of(model: TrackWan, batch: Batch, ids: Tensor, spec: ModelSpec, conditioned: Conditioned) -> Conditions:
    """Conditions of whole clips for `model`; ids (b n) of the batch's tracks.

    Of the batch's latents only the first frame is seen (as clean_first too, where the spec pins it).
    Raises ValueError when the clips lack something that the model is conditioned on.
    """
    latents = batch.latents
    mask = image = track = None
    if spec.layout.width("mask"):
        mask = first_frame_mask(latents.shape[2], latents.shape[3], latents.shape[4], latents)
        mask = mask.expand(latents.shape[0], -1, -1, -1, -1)
    if spec.image_rule == "carried":
        if batch.image is None or batch.mask is None:
            raise ValueError(
                "this model's image condition is the first frame as its tracks drag it, which these clips lack"
            )
        image, mask = batch.image, batch.mask
    elif spec.image_rule == "first_latent":
        image = torch.zeros_like(latents)
        image[:, :, :1] = latents[:, :, :1]
    elif spec.image_rule == "grey_clip":
        if batch.image is None:
            raise ValueError("this model's image condition is the encoding of a grey clip, which these clips lack")
        image = batch.image
    if model.track_head is not None:
        side = (latents.shape[3] * spec.vae_stride.space, latents.shape[4] * spec.vae_stride.space)
        track = batch.track
        if track is None:
            track = model.track_head.encode(batch.points, batch.visibility, ids, side, at_start=True)
        track = track * conditioned.motion[:, None, None, None, None]
        if conditioned.motion_frames is not None:
            track = track * conditioned.motion_frames[:, None, :, None, None]
    context = model.prepare_context(text_embeddings(model, batch, conditioned.text), batch.image_tokens)
    first = latents[:, :, :1] if spec.pin_first_latent else None
    return Conditions(context=context, mask=mask, image=image, track=track, clean_first=first)


def text_embeddings(model: TrackWan, batch: Batch, conditioned: Tensor) -> Tensor:
    """Text embeddings (b l d): the batch's own, or its captions through the bundled encoder.

    conditioned: bool (b); a caption left out is the empty one.
    """
    if model.text_encoder is not None:
        return model.text_encoder.encode(batch.captions) * conditioned[:, None, None]
    if batch.text is None or batch.empty_text is None:
        raise ValueError("this model has no text encoder of its own, and these clips hold no text embeddings")
    return torch.where(conditioned[:, None, None], batch.text, batch.empty_text)


def random_ids(batch_size: int, num_tracks: int, generator: torch.Generator) -> Tensor:
    """Ids (b n), all different within a clip."""
    return torch.stack([torch.randperm(NUM_IDS, generator=generator)[:num_tracks] for _ in range(batch_size)])


def mid_frame_mask(
    batch_size: int, num_latent_frames: int, plan: ChunkPlan, probability: float, generator: torch.Generator
) -> Tensor:
    """bool (b f), False in chunks whose track map is hidden, each with `probability` but never the first.

    As if the user had let go of the mouse in mid-clip (arXiv 2511.01266, section 3.1).
    """
    kept = torch.ones(batch_size, num_latent_frames, dtype=torch.bool)
    start = plan.first_chunk_frames
    while start < num_latent_frames:
        hidden = torch.rand(batch_size, generator=generator) < probability
        kept[:, start : start + plan.chunk_frames] = ~hidden[:, None]
        start += plan.chunk_frames
    return kept
