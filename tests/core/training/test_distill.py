"""Distribution matching against analytic scores, and where gradients, conditions and rollouts of the stage go."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from motionstream_core.checkpoints import LoadedModel, ModelSpec, build_model
from motionstream_core.diffusion.guidance import guidance_coefficients
from motionstream_core.models.conditioning import assemble
from motionstream_core.training.data import Batch, View
from motionstream_core.training.stages import distill
from motionstream_core.training.stages.causal_loss import CausalMasks
from motionstream_core.training.stages.conditions import (
    Conditioned,
    conditions_of,
    random_ids,
    text_embeddings,
)
from motionstream_core.training.stages.distill import (
    Distiller,
    DistillTraining,
)
from motionstream_core.training.stages.distribution_matching import (
    LevelRange,
    Scores,
    distribution_loss,
    matching_loss,
)
from tests.core.tiny_models import CHANNELS, TINY_TEACHER

CPU = torch.device("cpu")
SIDE, FRAMES, NUM_POINTS = 6, 4, 5
TEACHER = TINY_TEACHER
STUDENT = replace(TEACHER, role="student", pin_first_latent=True)


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def a_batch(count: int = 2, seed: int = 1) -> Batch:
    num_frames = 1 + 4 * (FRAMES - 1)
    points = draw(count, num_frames, NUM_POINTS, 2, seed=seed).abs() * 12
    captions = ["a red circle" if index % 2 else "a blue circle" for index in range(count)]
    told = torch.ones(count, num_frames, NUM_POINTS, dtype=torch.bool)
    return Batch(draw(count, CHANNELS, FRAMES, SIDE, SIDE, seed=seed), points, told, captions)


def loaded(spec: ModelSpec, seed: int) -> LoadedModel:
    torch.manual_seed(seed)
    return LoadedModel(build_model(spec), spec)


def some_ids(batch: Batch) -> Tensor:
    return random_ids(len(batch.captions), NUM_POINTS, torch.Generator().manual_seed(3))


class OneBatch:
    """Clips of which there is one batch, and the sizes that were asked for."""

    def __init__(self, batch: Batch) -> None:
        self.whole = batch

    def __len__(self) -> int:
        return len(self.whole.captions)

    def batch(self, size: int, view: View, rng: Any) -> Batch:
        assert size == len(self) and view.latent_frames == FRAMES
        return self.whole


def distiller(batch: Batch, **knobs: Any) -> Distiller:
    training = DistillTraining(view=View(FRAMES, SIDE), **knobs)
    scores = Scores(loaded(TEACHER, 1), loaded(TEACHER, 2), training.text_weight, training.motion_weight)
    clips: Any = OneBatch(batch)
    return Distiller(training, loaded(STUDENT, 3).model, STUDENT, scores, clips, CPU)


# What distribution matching does


def test_the_gradient_is_that_of_the_paper() -> None:
    clip, real, fake = (draw(2, 3, 2, 4, 4, seed=seed) for seed in (1, 2, 3))
    clip.requires_grad_(True)
    matching_loss(clip, real, fake).backward()
    assert clip.grad is not None
    for index in range(2):
        scale = (clip[index] - real[index]).abs().mean()
        expected = (fake[index] - real[index]) / scale / clip.numel()
        torch.testing.assert_close(clip.grad[index], expected.detach())


def test_no_gradient_where_the_scores_agree() -> None:
    clip, score = draw(2, 3, 2, 4, 4, seed=1).requires_grad_(True), draw(2, 3, 2, 4, 4, seed=2)
    matching_loss(clip, score, score).backward()
    assert clip.grad is not None and clip.grad.abs().max() == 0
    matching_loss(score.clone().requires_grad_(True), score, score).backward()  # nothing to divide by, and no NaN


class Gaussians(Scores):
    """Exact scores of two Gaussians: what is behind z at level s is the posterior mean of the clean value."""

    def __init__(self, real: tuple[float, float], fake: tuple[Tensor, Tensor]) -> None:
        object.__setattr__(self, "real", LoadedModel(None, TEACHER))  # type: ignore[arg-type]
        object.__setattr__(self, "gaussians", (real, fake))

    def clean(self, noisy: Tensor, sigma: Tensor, batch: Batch, ids: Tensor) -> tuple[Tensor, Tensor]:
        s = sigma[:, None, None, None, None]
        (real_mean, real_deviation), (mean, deviation) = self.gaussians  # type: ignore[attr-defined]

        def posterior(mean: Any, deviation: Any) -> Tensor:
            gain = (1 - s) * deviation**2 / ((1 - s) ** 2 * deviation**2 + s**2)
            return mean + gain * (noisy - (1 - s) * mean)

        return posterior(real_mean, real_deviation), posterior(mean.detach(), deviation.detach())


def test_matching_finds_the_teachers_distribution() -> None:
    """A student that shifts and scales noise ends at the mean and deviation of the Gaussian that the teacher knows."""
    mean, deviation = torch.tensor(0.0, requires_grad=True), torch.tensor(0.2, requires_grad=True)
    optimizer = torch.optim.Adam([mean, deviation], lr=0.02)
    generator = torch.Generator().manual_seed(4)
    batch = a_batch(8)
    for _ in range(400):
        clip = mean + deviation * torch.randn(8, 2, 3, 4, 4, generator=generator)
        scores = Gaussians((1.5, 0.7), (mean, deviation))
        loss = distribution_loss(scores, clip, batch, torch.zeros(8, 1), LevelRange(), generator, first=0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert mean.item() == pytest.approx(1.5, abs=0.1)
    assert deviation.item() == pytest.approx(0.7, abs=0.1)


def test_given_frames_are_not_judged() -> None:
    clip = draw(2, CHANNELS, FRAMES, SIDE, SIDE, seed=9).requires_grad_(True)
    batch = a_batch()
    scores = distiller(batch).scores
    distribution_loss(scores, clip, batch, some_ids(batch), LevelRange(), torch.Generator(), first=1).backward()
    assert clip.grad is not None
    assert clip.grad[:, :, 0].abs().max() == 0 and clip.grad[:, :, 1:].abs().min() > 0


def test_the_real_score_is_joint_guidance_and_the_fake_one_is_not() -> None:
    """By hand: one pass at a time, one clip at a time, each at its own level."""
    batch = a_batch()
    ids, sigma = some_ids(batch), torch.tensor([0.9, 0.3])
    noisy = draw(2, CHANNELS, FRAMES, SIDE, SIDE, seed=5)
    scores = distiller(batch).scores
    real, fake = scores.clean(noisy, sigma, batch, ids)
    coefficients = guidance_coefficients(3.0, 1.5)
    for index in range(2):
        one = Batch(batch.latents[[index]], batch.points[[index]], batch.visibility[[index]], [batch.captions[index]])

        def velocity(model: LoadedModel, text: bool, motion: bool, one: Batch = one, index: int = index) -> Tensor:
            told = Conditioned(torch.tensor([text]), torch.tensor([motion]))
            given = conditions_of(model.model, one, ids[[index]], TEACHER, told)
            step = 1000 * sigma[[index]]
            return model.model(assemble(TEACHER.layout, noisy[[index]], given), step, given.context)

        guided = (
            coefficients.joint * velocity(scores.real, True, True)
            + coefficients.motion_only * velocity(scores.real, False, True)
            + coefficients.text_only * velocity(scores.real, True, False)
        )
        torch.testing.assert_close(real[[index]], noisy[[index]] - sigma[index] * guided, rtol=1e-4, atol=1e-4)
        plain = velocity(scores.fake, True, True)
        torch.testing.assert_close(fake[[index]], noisy[[index]] - sigma[index] * plain, rtol=1e-4, atol=1e-4)


# Whose gradient, whose conditions


def weights_with_gradient(model: torch.nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_each_loss_trains_its_own_network(precision: str) -> None:
    batch = a_batch()
    losses = distiller(batch)
    everything = {name for name, _ in losses.student.named_parameters()}
    seen: set[str] = set()
    for step in range(4):  # of every exit step at least one
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            losses.student_loss(step, 0, 2).backward()
        # words that no caption has have no gradient; casts made without gradient must not be used again with it
        assert {name for name in everything if "text_encoder" not in name} <= weights_with_gradient(losses.student)
        seen |= weights_with_gradient(losses.student)
        losses.student.zero_grad()
    assert seen == everything
    assert not weights_with_gradient(losses.scores.real.model) and not weights_with_gradient(losses.scores.fake.model)
    losses.critic_loss(0, 1, 0, 2).backward()
    assert weights_with_gradient(losses.scores.fake.model) == everything
    assert not weights_with_gradient(losses.student) and not weights_with_gradient(losses.scores.real.model)


def test_only_first_frame_caption_and_tracks_are_needed() -> None:
    batch = a_batch()
    latents = batch.latents.clone()
    latents[:, :, 1:] = 7
    for knobs, same in (({}, True), ({"truth_weight": 1.0}, False)):
        one, other = distiller(batch, **knobs), distiller(batch.with_latents(latents), **knobs)
        assert (one.student_loss(0, 0, 2) == other.student_loss(0, 0, 2)).item() is same
        assert torch.equal(one.critic_loss(0, 1, 0, 2), other.critic_loss(0, 1, 0, 2))


def test_steps_turns_and_micro_batches_draw_for_themselves() -> None:
    losses = distiller(a_batch())
    values = [losses.critic_loss(*place, 2).item() for place in ((0, 1, 0), (0, 2, 0), (1, 1, 0), (0, 1, 1), (0, 1, 0))]
    assert len(set(values)) == 4 and values[0] == values[-1]


def test_micro_batches_of_a_step_leave_at_the_same_step() -> None:
    """Sharded ranks run their micro-batches side by side: other passes on another rank would wait for ever."""
    losses = distiller(a_batch())
    exits = [[losses._draw(step, 0, micro, 2).exit_step for micro in range(4)] for step in range(12)]
    assert all(len(set(each)) == 1 for each in exits)
    assert {each[0] for each in exits} == {0, 1, 2}


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"critic_steps": 0}, "critic_steps is 0"),
    ],
)
def test_knobs_that_do_not_fit_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DistillTraining(view=View(FRAMES, SIDE), **knobs)


def test_levels_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match="low <= high"):
        LevelRange(0.5, 0.2)
    levels = LevelRange(0.1, 0.2).draw(1000, 1.0, torch.Generator().manual_seed(1))
    assert levels.min() >= 0.1 and levels.max() <= 0.2


def test_levels_may_be_clamped_after_the_shift() -> None:
    """As Self-Forcing has them: shift 6 of u in [0, 1], then cut to the range; the other way 0.02 becomes 0.109."""
    drawn = LevelRange(clamped=True).draw(20_000, 6.0, torch.Generator().manual_seed(1))
    assert drawn.min() == pytest.approx(0.02) and drawn.max() == pytest.approx(0.98)
    u_at_low, u_at_high = 0.02 / (6 - 5 * 0.02), 0.98 / (6 - 5 * 0.98)  # of s = 6 u / (1 + 5 u)
    assert (drawn == drawn.min()).float().mean() == pytest.approx(u_at_low, abs=0.002)
    assert (drawn == drawn.max()).float().mean() == pytest.approx(1 - u_at_high, abs=0.01)
    assert LevelRange().draw(20_000, 6.0, torch.Generator().manual_seed(1)).min() == pytest.approx(0.109, abs=1e-3)


@pytest.mark.parametrize("masks", [None, CausalMasks((0, 2), (1, 4), own_share=0.0)])
def test_rollouts_may_run_over_random_memories(masks: CausalMasks | None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def noted(model: Any, spec: Any, whole: Any, shape: torch.Size, policy: Any, seed: int) -> Any:
        seen.append((spec.sink_frames, spec.window_frames))
        return iter([SimpleNamespace(latents=torch.zeros(shape))])

    monkeypatch.setattr(distill, "training_rollout", noted)
    training = DistillTraining(view=View(FRAMES, SIDE), masks=masks)
    scores = Scores(loaded(TEACHER, 1), loaded(TEACHER, 2), 1.0, 1.0)
    clips = SimpleNamespace(batch=lambda size, view, rng: a_batch())
    losses = Distiller(training, loaded(STUDENT, 3).model, STUDENT, scores, clips, torch.device("cpu"))  # type: ignore[arg-type]
    for train_step in range(30):
        for micro in range(2):
            losses.critic_loss(train_step, 1, micro, len(a_batch().captions))
    assert seen[::2] == seen[1::2]  # all micro-batches of a step share one: sharded ranks run the same passes
    if masks is None:
        assert set(seen) == {(STUDENT.sink_frames, STUDENT.window_frames)}
    else:
        assert len(set(seen)) > 4
        assert {sink for sink, _ in seen} == {0, 1, 2} and {window for _, window in seen} <= {1, 2, 3, 4}


def test_captions_that_are_not_told_are_the_empty_one() -> None:
    batch, model = a_batch(), loaded(TEACHER, 1).model
    told = torch.tensor([True, False])
    assert model.text_encoder is not None
    expected = model.text_encoder.encode([batch.captions[0], ""])
    torch.testing.assert_close(text_embeddings(model, batch, told), expected)
