"""Samplers on flows whose solution is known in closed form; the few-step loop against its steps written out."""

import sys

import pytest
import torch
from torch import Tensor

from motionstream_core.diffusion.sample import denoise_few_step, euler_sample, unipc_sample
from motionstream_core.diffusion.schedule import student_sigmas, teacher_sigmas

MEAN, SPREAD = 1.5, 0.4


def noise_of(shape: tuple[int, ...] = (2, 2, 3, 4, 4), seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian_velocity(latents: Tensor, sigma: float) -> Tensor:
    """E[z1 - z0 | z_sigma] when z0 is normal with MEAN and SPREAD; its flow carries z1 to MEAN + SPREAD z1."""
    variance = (1 - sigma) ** 2 * SPREAD**2 + sigma**2
    centred = latents - (1 - sigma) * MEAN
    return sigma * centred / variance - (MEAN + (1 - sigma) * SPREAD**2 * centred / variance)


def error(sampler, num_steps: int) -> float:
    noise = noise_of()
    result = sampler(gaussian_velocity, noise, teacher_sigmas(num_steps, 3.0))
    return (result - (MEAN + SPREAD * noise)).abs().max().item()


@pytest.mark.parametrize("sampler", [euler_sample, unipc_sample])
@pytest.mark.parametrize("num_steps", [1, 2, 3, 7])
def test_a_straight_flow_is_followed_exactly(sampler, num_steps: int) -> None:
    noise, clean = noise_of(), noise_of(seed=1)
    result = sampler(lambda latents, sigma: noise - clean, noise, teacher_sigmas(num_steps, 6.0))
    torch.testing.assert_close(result, clean, rtol=0, atol=1e-5)


def test_euler_converges_to_first_order() -> None:
    coarse, fine = error(euler_sample, 100), error(euler_sample, 200)
    assert fine < 0.03
    assert coarse / fine == pytest.approx(2, rel=0.05)


def test_unipc_converges_to_second_order() -> None:
    coarse, fine = error(unipc_sample, 300), error(unipc_sample, 600)
    assert fine < 2e-4
    assert coarse / fine == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize(("num_steps", "advantage"), [(6, 1.0), (10, 1.2), (20, 2.0), (50, 10.0), (200, 15.0)])
def test_unipc_beats_euler_at_equal_steps(num_steps: int, advantage: float) -> None:
    assert error(unipc_sample, num_steps) * advantage < error(euler_sample, num_steps)


def test_unipc_agrees_with_a_fine_euler_run_on_a_curved_flow() -> None:
    def curved(latents: Tensor, sigma: float) -> Tensor:
        return torch.sin(2 * latents) + sigma * latents

    reference = euler_sample(curved, noise_of(), teacher_sigmas(20_000, 1.0))
    result = unipc_sample(curved, noise_of(), teacher_sigmas(60, 1.0))
    torch.testing.assert_close(result, reference, rtol=0, atol=2e-3)


@pytest.mark.parametrize("sampler", [euler_sample, unipc_sample])
def test_the_model_sees_our_sigmas_and_the_callback_its_clean_prediction(sampler) -> None:
    sigmas, seen, calls = teacher_sigmas(5, 6.0), [], []
    noise, clean = noise_of(), noise_of(seed=1)

    def predict(latents: Tensor, sigma: float) -> Tensor:
        seen.append(sigma)
        return noise - clean

    sampler(predict, noise, sigmas, callback=lambda *args: calls.append(args))
    assert seen == sigmas[:-1].tolist()
    assert [call[:2] for call in calls] == [(i, 5) for i in range(5)]
    for _, _, prediction in calls:
        torch.testing.assert_close(prediction, clean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sampler", [euler_sample, unipc_sample])
def test_a_callback_may_interrupt(sampler) -> None:
    def stop(step: int, num_steps: int, clean: Tensor) -> None:
        if step == 1:
            raise InterruptedError

    seen = []
    with pytest.raises(InterruptedError):
        sampler(lambda x, sigma: seen.append(sigma) or x, noise_of(), teacher_sigmas(5, 6.0), callback=stop)
    assert len(seen) == 2


def test_unipc_counts_steps_that_share_a_timestep() -> None:
    """More steps than there are integer timesteps: looked up by timestep, the first step would be skipped."""
    noise, clean = noise_of((1, 1, 1, 1, 1)), noise_of((1, 1, 1, 1, 1), seed=1)
    result = unipc_sample(lambda latents, sigma: noise - clean, noise, teacher_sigmas(1200, 1.0))
    torch.testing.assert_close(result, clean, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sampler", [euler_sample, unipc_sample])
def test_half_precision_velocities_are_summed_in_the_states_dtype(sampler) -> None:
    half = noise_of(seed=1).to(torch.bfloat16)
    result = sampler(lambda latents, sigma: half, noise_of().float(), teacher_sigmas(4, 6.0))
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, noise_of().float() - half.float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("bad", [[1.0], [1.0, 0.5], [1.0, 1.0, 0.0], [0.5, 1.0, 0.0], [[1.0, 0.0]]])
def test_sigmas_that_do_not_descend_to_zero_are_named(bad: list) -> None:
    sigmas = torch.tensor(bad)
    for call in (
        lambda: euler_sample(gaussian_velocity, noise_of(), sigmas),
        lambda: unipc_sample(gaussian_velocity, noise_of(), sigmas),
        lambda: denoise_few_step(lambda x, sigma: x, noise_of(), sigmas, lambda i: noise_of()),
    ):
        with pytest.raises(ValueError, match="descend strictly to 0"):
            call()


def test_unipc_without_diffusers_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers.schedulers.scheduling_unipc_multistep", None)
    with pytest.raises(ImportError, match="needs diffusers"):
        unipc_sample(gaussian_velocity, noise_of(), teacher_sigmas(4, 6.0))


def toy_clean(latents: Tensor, sigma: float) -> Tensor:
    return torch.tanh(latents) * (1 - sigma) + 0.3 * sigma


def test_few_step_loop_equals_its_steps_written_out() -> None:
    noise, fresh_0, fresh_1 = noise_of(), noise_of(seed=1), noise_of(seed=2)
    sigmas = student_sigmas((1000, 667, 333), 6.0)
    s0, s1, s2, _ = sigmas.tolist()

    x0 = toy_clean(noise, s0)
    x0 = toy_clean((1 - s1) * x0 + s1 * fresh_0, s1)
    expected = toy_clean((1 - s2) * x0 + s2 * fresh_1, s2)

    asked = []

    def renoise(step: int) -> Tensor:
        asked.append(step)
        return (fresh_0, fresh_1)[step]

    result = denoise_few_step(toy_clean, noise, sigmas, renoise)
    torch.testing.assert_close(result, expected)
    assert asked == [0, 1]


def test_few_step_loop_may_leave_early() -> None:
    noise, fresh = noise_of(), noise_of(seed=1)
    sigmas = student_sigmas((1000, 667, 333), 6.0)
    s0, s1 = sigmas[:2].tolist()
    expected = toy_clean((1 - s1) * toy_clean(noise, s0) + s1 * fresh, s1)
    result = denoise_few_step(toy_clean, noise, torch.tensor([s0, s1, 0.0]), lambda step: fresh)
    torch.testing.assert_close(result, expected)


def test_one_step_needs_no_fresh_noise() -> None:
    def renoise(step: int) -> Tensor:
        raise AssertionError("asked for noise after the last prediction")

    result = denoise_few_step(toy_clean, noise_of(), torch.tensor([1.0, 0.0]), renoise)
    torch.testing.assert_close(result, toy_clean(noise_of(), 1.0))
