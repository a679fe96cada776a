import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from motionstream_core.models.conditioning import Forecast
from motionstream_core.streaming.detail import with_detail

SIZE = (96, 128)


def textured(num_frames: int = 3) -> Tensor:
    """Frames (3 t h w) of fine texture over a slope."""
    generator = torch.Generator().manual_seed(0)
    slope = torch.linspace(0.3, 0.7, SIZE[1]).expand(3, num_frames, *SIZE)
    return slope + 0.2 * (torch.rand(3, num_frames, *SIZE, generator=generator) - 0.5)


def blurred(frames: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(frames, (1, 1, 1, 1), mode="replicate"), 3, 1)


def latents_of(num_latent_frames: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, 16, num_latent_frames, SIZE[0] // 8, SIZE[1] // 8, generator=generator)


def forecast_of(frames: Tensor, known: float = 1.0, num_latent_frames: int = 1) -> Forecast:
    return Forecast(frames, torch.full(frames.shape[1:], known), latents_of(num_latent_frames), 4)


OTHER = latents_of() + 1
"""What no model makes that follows its forecast."""


def shown_of(decoded: Tensor, picture: Tensor, known: float = 1.0, latents: Tensor = OTHER) -> Tensor:
    """What is shown (3 t h w) of decoded frames of that size where `picture` was foreseen; a decoder is a blur here."""
    forecast = forecast_of(picture, known, latents.shape[2])
    return with_detail(decoded.movedim(0, 3), blurred(picture).movedim(0, 3), forecast, latents).movedim(3, 0)


def test_what_a_decoder_blurred_is_sharp_again() -> None:
    picture = textured()
    assert (blurred(picture) - picture).abs().mean() > 0.03
    torch.testing.assert_close(shown_of(blurred(picture), picture), picture)


def test_what_is_a_guess_stays_the_decoders() -> None:
    picture = textured()
    torch.testing.assert_close(shown_of(blurred(picture), picture, known=0.0), blurred(picture))


def test_what_the_model_shows_otherwise_stands_and_the_rest_is_sharp() -> None:
    picture = textured()
    decoded = blurred(picture)
    decoded[:, :, 32:64, 64:] = torch.tensor([0.9, 0.1, 0.1]).view(3, 1, 1, 1)
    shown = shown_of(decoded, picture)
    assert (shown - decoded)[:, :, 40:56, 72:].abs().max() < 0.02
    torch.testing.assert_close(shown[..., :48], picture[..., :48])


@pytest.mark.parametrize(("strength", "left"), [(0.05, 0.6), (0.1, 0.85), (0.2, 0.95)])
def test_what_falls_before_the_picture_is_seen_before_a_sharp_one(strength: float, left: float) -> None:
    """However faint, most of it is left: what the model adds is not taken for the decoder's error."""
    picture = textured() - 0.2
    flakes = torch.zeros_like(picture)
    for row in range(3):
        for column in range(3):
            flakes[..., 4 + row :: 16, 4 + column :: 16] = strength
    shown = shown_of(blurred(picture) + flakes, picture)
    share = ((shown - picture) * flakes).sum() / flakes.square().sum()
    assert left < share < 1.01
    assert (shown - picture - share * flakes).abs().mean() < 0.004


def test_what_a_decoder_made_up_is_not_shown() -> None:
    picture = textured()
    made_up = 0.006 * (2 * torch.rand(picture.shape, generator=torch.Generator().manual_seed(3)) - 1)
    shown = shown_of(blurred(picture) + made_up, picture)
    assert (shown - picture).abs().mean() < 0.1 * made_up.abs().mean()


def test_a_light_over_the_whole_picture_is_laid_over_its_own_pixels() -> None:
    """Each frame and channel in its own: night falls, fog comes up. A flake before it stands, and is no light."""
    picture = textured()
    gain = torch.tensor([[0.8, 0.6, 0.3], [0.8, 0.7, 0.4], [0.9, 0.8, 0.5]])[..., None, None]
    lift = torch.tensor([[0.02, 0.2, 0.5], [0.02, 0.2, 0.5], [0.0, 0.2, 0.5]])[..., None, None]
    lit = gain * picture + lift
    decoded = blurred(lit)
    decoded[:, :, 40:46, 30:36] = 0.98
    shown = shown_of(decoded, picture)
    away = torch.ones(SIZE, dtype=torch.bool)
    away[28:58, 18:48] = False
    assert (blurred(lit) - lit)[..., away].abs().mean() > 0.01
    assert (shown - lit)[..., away].abs().mean() < 0.003
    assert (shown - decoded)[:, :, 42:44, 32:34].abs().max() < 0.06


def test_what_half_of_the_picture_shows_is_no_common_light() -> None:
    picture = textured()
    decoded = blurred(picture)
    decoded[..., :56] *= 0.4
    torch.testing.assert_close(shown_of(decoded, picture)[..., 72:], picture[..., 72:])


def test_no_value_is_asked_for_that_would_have_to_come_from_a_device() -> None:
    """On the meta device whatever asks for one is an error."""
    frames, known = torch.empty(3, 4, *SIZE, device="meta"), torch.empty(4, *SIZE, device="meta")
    latents = latents_of().to("meta")
    decoded = frames.movedim(0, 3)
    shown = with_detail(decoded, decoded, Forecast(frames, known, latents, 4), latents)
    assert shown.shape == (4, *SIZE, 3)


def test_a_forecast_of_another_size_is_an_error() -> None:
    with pytest.raises(RuntimeError):
        with_detail(torch.zeros(2, 64, 64, 3), torch.zeros(2, 64, 64, 3), forecast_of(textured(2)), OTHER)


@pytest.mark.parametrize("num_frames", [9, 12], ids=["a stream's beginning", "later"])
def test_cells_that_were_made_as_they_were_told_show_the_forecast_itself(num_frames: int) -> None:
    """Whatever the decoder makes of them, a guess too: it smears what is fast over where it was."""
    picture, latents = textured(num_frames), latents_of(3)
    latents[:, :, 1, :6] += 1.0  # the second latent frame's upper half is the model's own
    latents += 0.02 * torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
    smeared = torch.full((3, num_frames, *SIZE), 0.9)
    shown = shown_of(smeared, picture, 0.0, latents)
    own = torch.zeros(num_frames, dtype=torch.bool)
    own[num_frames - 8 : num_frames - 4] = True
    assert torch.equal(shown[:, own, :40], smeared[:, own, :40])
    assert torch.equal(shown[:, own, 56:], picture[:, own, 56:])
    assert torch.equal(shown[:, ~own], picture[:, ~own])


def test_between_agreement_and_difference_both_have_a_say() -> None:
    picture, latents = textured(4), latents_of() + 0.19
    torch.testing.assert_close(shown_of(torch.zeros(3, 4, *SIZE), picture, 0.0, latents), picture / 2)
