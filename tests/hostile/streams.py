"""What is no number in a stream: pictures and weights with NaN and infinity, by a small random model."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from motionstream_core.checkpoints import LoadedModel, build_model
from motionstream_core.models.vae.tiny_vae import TinyVae, TinyVaeConfig
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.stream import StreamedChunk, stream_chunks
from motionstream_core.tracks import Tracks
from tests.core.tiny_models import TINY_TEACHER

SIZE = (32, 48)
SPEC = replace(TINY_TEACHER, role="student", pin_first_latent=True, frame_size=SIZE)
VALUES = (float("nan"), float("inf"), float("-inf"))
Fault = tuple[str, int, float]
"""Where ("image", or a parameter's name), which of its values, and what stands there."""


def model() -> LoadedModel:
    """A random one in which every weight matters, the same at every call."""
    loaded = LoadedModel(build_model(SPEC).eval().requires_grad_(False), SPEC)
    generator = torch.Generator().manual_seed(0)
    for _, parameter in sorted(loaded.model.named_parameters()):
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return loaded


def vae() -> TinyVae:
    """Stride 4 x 8, four latent channels."""
    torch.manual_seed(1)
    flags = (True, True, False)
    config = TinyVaeConfig(
        latent_channels=4,
        patch_size=2,
        decoder_widths=(12, 8, 8, 6),
        encoder_width=6,
        decoder_space_upscale=flags,
        encoder_space_downscale=flags,
    )
    return TinyVae(config).eval().requires_grad_(False)


def stream(loaded: LoadedModel, image: Tensor, num_latent_frames: int = 4) -> Iterator[StreamedChunk]:
    """A stream from an image (1 3 1 h w)."""
    coder = vae()
    tracks = Tracks(torch.full((13, 1, 2), 20.0), torch.ones(13, 1, dtype=torch.bool), *SIZE)
    context = encode_prompt(loaded.model, SPEC, "a red circle")
    conditions = StreamConditions(loaded.model, SPEC, context, KnownTracks(tracks), image=image, vae=coder)
    return stream_chunks(loaded, conditions, TinyStreamingDecoder(coder), num_latent_frames=num_latent_frames)


def faults(count: int, seed: int) -> list[Fault]:
    """A value of the image, or of a weight that the stream reads, that is no number."""
    rng = random.Random(seed)
    weights = {name: each.numel() for name, each in model().model.named_parameters() if name.startswith("blocks.")}
    sizes = {"image": 3 * SIZE[0] * SIZE[1], **weights}
    names = ["image"] * (count // 4) + rng.choices(list(weights), k=count - count // 4)
    return [(name, rng.randrange(sizes[name]), rng.choice(VALUES)) for name in names]


def try_fault(fault: Fault) -> str | None:
    """Stream; frames that were made must be numbers, and where the image is none, there must be no frames."""
    name, index, value = fault
    loaded, image = model(), torch.rand(1, 3, 1, *SIZE, generator=torch.Generator().manual_seed(2))
    broken = image if name == "image" else dict(loaded.model.named_parameters())[name]
    broken.view(-1)[index] = value
    for chunk in stream(loaded, image):
        if not chunk.frames.isfinite().all() or not chunk.latents.isfinite().all():
            return "frames that are no numbers"
        if name == "image":
            return "a stream from an image that is none"
    return None
