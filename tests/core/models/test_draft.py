"""The linear draft of the encoder, against regressions made another way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from motionstream_core.geometry import VaeStride
from motionstream_core.models.vae.tiny_vae import Draft, TinyVae, TinyVaeConfig
from motionstream_core.training.stages.tiny_vae.draft import with_draft

CONFIG = TinyVaeConfig(
    latent_channels=3,
    patch_size=2,
    decoder_widths=(4, 4, 4, 4),
    encoder_width=4,
    decoder_space_upscale=(False, False, False),
    encoder_space_downscale=(False, False, False),
)


def clip(seed: int, num_frames: int = 9) -> Tensor:
    return torch.rand(1, 3, num_frames, 12, 16, generator=torch.Generator().manual_seed(seed))


def cellwise(draft: Draft, frames: Tensor, latent_frame: int, row: int, column: int) -> Tensor:
    """Latents (c) of one cell by plain sums, neighbours beyond the edge being the edge's."""
    space, time = draft.stride.space, draft.stride.time
    group = frames[0, :, latent_frame * time : (latent_frame + 1) * time]
    rows, columns = frames.shape[3] // space, frames.shape[4] // space

    def cell(r: int, c: int) -> Tensor:  # s 3*space*space
        r, c = min(max(r, 0), rows - 1), min(max(c, 0), columns - 1)
        return group[:, :, r * space : (r + 1) * space, c * space : (c + 1) * space].movedim(1, 0).flatten(1)

    made = draft.inside.weight[:, :, 0, 0] @ cell(row, column).flatten() + draft.inside.bias
    for dy in range(3):
        for dx in range(3):
            made = made + draft.around.weight[:, :, dy, dx] @ cell(row + dy - 1, column + dx - 1).mean(0)
    return made


@torch.no_grad()
def test_it_is_the_sum_that_it_says() -> None:
    torch.manual_seed(0)
    draft = Draft(VaeStride(4, 2), 3)
    frames = clip(1, 8)
    made = draft(frames)
    assert made.shape == (1, 3, 2, 6, 8)
    for place in ((0, 0, 0), (1, 5, 7), (1, 2, 3)):
        torch.testing.assert_close(
            made[(0, slice(None), *place)], cellwise(draft, frames, *place), atol=1e-5, rtol=1e-5
        )


@torch.no_grad()
def test_the_fit_is_the_best_linear_one() -> None:
    """No error is left that what is seen could tell of: its products with the features vanish."""
    torch.manual_seed(0)
    vae = TinyVae(CONFIG).eval()
    clips = [clip(seed) for seed in range(60)]
    drafted = with_draft(vae, clips)
    assert drafted.draft is not None and drafted.config.draft
    errors, seen = [], []
    for each in clips:
        inside, _ = drafted.draft.features(each[:, :, 1:])
        error = drafted.draft(each[:, :, 1:]) - vae.encode(each)[:, :, 1:]
        errors.append(error.permute(2, 0, 3, 4, 1).flatten(0, 3))
        seen.append(inside.flatten(2).permute(0, 2, 1).flatten(0, 1))
    error, features = torch.cat(errors), torch.cat(seen)
    assert error.mean(0).abs().max() < 1e-3
    products = (features - features.mean(0)).T @ error / len(error)
    assert products.abs().max() < 1e-4
    assert torch.equal(drafted.encode(clips[0]), vae.encode(clips[0]))


@pytest.mark.parametrize("shape", [(1, 3, 5, 12, 16), (1, 4, 4, 12, 16), (3, 4, 12, 16)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Draft(VaeStride(4, 2), 3)(torch.zeros(shape))
