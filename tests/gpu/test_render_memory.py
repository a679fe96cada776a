"""Track-v0 at full size with random weights renders within 8 GiB of a GPU's memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

pytest.importorskip("diffusers", reason="Wan's VAE needs diffusers")

from motionstream_core.checkpoints import LoadedModel, ModelSpec, build_model
from motionstream_core.checkpoints.families import BY_KEY
from motionstream_core.models.vae.wan_vae import WanVae
from motionstream_core.streaming.render.prompts import EncodedPrompt, OwnWords
from motionstream_core.streaming.render.renderer import Renderer, reserve_bytes
from motionstream_core.tracks import point_grid

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
LIMIT_BYTES = 8 * 2**30
FRAMES = 25


@pytest.fixture
def small_card() -> Iterator[torch.device]:
    """The GPU, of which this process may take LIMIT_BYTES."""
    device = torch.device("cuda", 0)
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    torch.cuda.set_per_process_memory_fraction(min(1.0, LIMIT_BYTES / total), device)
    yield device
    torch.cuda.set_per_process_memory_fraction(1.0, device)


def render(spec: ModelSpec, vae: WanVae, device: torch.device, limit_bytes: int) -> torch.Tensor:
    """Frames of a random model of `spec`, whose weights get what the limit leaves beside cache and reserve."""
    loaded = LoadedModel(build_model(spec).to(torch.bfloat16).eval().requires_grad_(False), spec)
    budget = limit_bytes - reserve_bytes(spec, torch.bfloat16) - spec.cache_bytes(spec.frame_size, 2)
    renderer = Renderer(loaded, OwnWords(), vae, vae, device, budget)
    height, width = spec.frame_size
    text, tokens = torch.randn(20, spec.backbone.text_dim), torch.randn(257, spec.backbone.image_dim or 0)
    tracks = point_grid(height, width, 50, 50, FRAMES)
    frames = renderer.video(EncodedPrompt("", text, tokens), torch.rand(3, height, width), tracks, FRAMES)
    return torch.cat([each.cpu() for each in frames])


def test_track_v0_fits_in_8_gib(small_card: torch.device) -> None:
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    vae = WanVae(AutoencoderKLWan().to(torch.bfloat16).eval().requires_grad_(False))
    frames = render(BY_KEY["track_v0"].spec, vae, small_card, LIMIT_BYTES)
    assert frames.shape == (FRAMES, 480, 832, 3) and frames.isfinite().all()
    assert torch.cuda.max_memory_reserved(small_card) <= LIMIT_BYTES
