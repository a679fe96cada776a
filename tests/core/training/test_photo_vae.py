"""The photo VAE's start against principal components by another route: numpy's singular values of the patches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.training.stages.tiny_vae.start import BUNDLED_VAE, PHOTO_VAE, initialise_components

PATCH, CHANNELS = 4, 6
CONFIG = replace(
    PHOTO_VAE, latent_channels=CHANNELS, patch_size=PATCH, decoder_widths=(14, 14, 14, 14), encoder_width=14
)


@pytest.fixture(scope="module")
def patches() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(3 * PATCH**2, 3 * PATCH**2, generator=generator) / torch.arange(1, 49).sqrt()
    return 0.5 + 0.05 * torch.randn(4000, 3 * PATCH**2, generator=generator) @ mixing.T


@pytest.fixture(scope="module")
def vae(patches: Tensor) -> TinyVae:
    torch.manual_seed(0)
    vae = TinyVae(CONFIG).eval().requires_grad_(False)
    initialise_components(vae, patches)
    return vae


def basis(patches: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """mean (d) and the first components (c d), largest first, up to their signs."""
    values = patches.double().numpy()
    return values.mean(0), np.linalg.svd(values - values.mean(0), full_matrices=False)[2][:CHANNELS]


def still_clip(patches: Tensor) -> Tensor:
    """Frames (1 3 5 8 12), five times the same picture of 2 x 3 of the patches."""
    cells = patches[:6].view(2, 3, -1).permute(2, 0, 1)[None]
    return F.pixel_shuffle(cells, PATCH)[:, :, None].expand(-1, -1, 5, -1, -1)


def test_latents_of_a_still_clip_are_the_components(vae: TinyVae, patches: Tensor) -> None:
    mean, components = basis(patches)
    latents = vae.encode(still_clip(patches))
    wanted = (patches[:6].double().numpy() - mean) @ components.T  # cells x components
    found = latents[0, :, 0].flatten(1).T.double().numpy()
    assert torch.allclose(latents[:, :, 0], latents[:, :, 1], atol=1e-5)
    for own, truth in zip(found.T, wanted.T, strict=True):
        ratio = own / truth
        assert np.ptp(ratio) < 1e-3 * abs(ratio.mean())  # a scale and a sign for each component


def test_small_latents_are_decoded_as_the_components_say(vae: TinyVae, patches: Tensor) -> None:
    """Small, because the soft clamp bends larger ones; encoding them again gives them back."""
    mean, components = basis(patches)
    latents = 0.05 * torch.randn(1, CHANNELS, 1, 2, 3, generator=torch.Generator().manual_seed(1))
    frames = vae.decode(latents, clamp=False)
    cells = F.pixel_unshuffle(frames[:, :, 0], PATCH)[0].flatten(1).T.double().numpy() - mean
    assert np.abs(cells - cells @ components.T @ components).max() < 1e-4  # nothing beside the components
    torch.testing.assert_close(vae.encode(frames), latents, rtol=1e-2, atol=1e-4)


def test_every_random_channel_learns(vae: TinyVae) -> None:
    """The output does not listen to them at first, but a gradient tells it to."""
    trained = TinyVae(CONFIG)
    trained.load_state_dict(vae.state_dict())
    frames = torch.rand(1, 3, 5, 8, 12, generator=torch.Generator().manual_seed(2))
    (trained.decode(trained.encode(frames), clamp=False) - frames).square().mean().backward()
    last = trained.decoder[-1]
    assert isinstance(last, torch.nn.Conv2d) and last.weight.grad is not None
    assert (last.weight.grad[:, 2 * CHANNELS :].abs().amax((0, 2, 3)) > 0).any()


def test_a_shape_that_cannot_hold_the_components_is_refused(patches: Tensor) -> None:
    with pytest.raises(ValueError, match="without spatial scaling"):
        initialise_components(TinyVae(BUNDLED_VAE), patches)
    with pytest.raises(ValueError, match="widths of at least 16"):
        initialise_components(TinyVae(replace(CONFIG, latent_channels=8)), patches)
