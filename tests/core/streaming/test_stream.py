"""From conditions to video: the student's stream against its parts, the teacher's clip against its equations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from motionstream_core.checkpoints import LoadedModel
from motionstream_core.diffusion.schedule import teacher_sigmas
from motionstream_core.geometry import ChunkPlan
from motionstream_core.models.conditioning import InputLayout, assemble
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.models.wan import CrossContext
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.stream import StreamedChunk, StreamSettings, sample_teacher, stream_chunks
from motionstream_core.tracks import Tracks

MakeModel = Callable[..., LoadedModel]
HEIGHT, WIDTH = 32, 48
COUNT = 10  # latent frames: 1 + 3 * 3


def image() -> Tensor:
    return torch.rand(1, 3, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3))


def conditions_of(loaded: LoadedModel, vae: TinyVae, num_frames: int = 1 + 4 * (COUNT - 1)) -> StreamConditions:
    generator = torch.Generator().manual_seed(4)
    start = torch.rand(1, 6, 2, generator=generator) * torch.tensor([WIDTH, HEIGHT])
    points = (start + torch.randn(num_frames, 6, 2, generator=generator).cumsum(0)).float()
    tracks = Tracks(points, torch.ones(num_frames, 6, dtype=torch.bool), HEIGHT, WIDTH)
    context = encode_prompt(loaded.model, loaded.spec, "a red circle")
    return StreamConditions(loaded.model, loaded.spec, context, KnownTracks(tracks), image=image(), vae=vae)


def stream(
    loaded: LoadedModel, vae: TinyVae, count: int | None = COUNT, settings: StreamSettings | None = None
) -> list[StreamedChunk]:
    chunks = stream_chunks(
        loaded, conditions_of(loaded, vae), TinyStreamingDecoder(vae), num_latent_frames=count, settings=settings
    )
    return list(chunks)


def latents_of(chunks: list[StreamedChunk]) -> Tensor:
    return torch.cat([chunk.latents for chunk in chunks], dim=2)


# --- the student


@pytest.mark.parametrize("plan", [ChunkPlan(3, 1), ChunkPlan(3, 3)], ids=["1+3k", "3k"])
def test_streamed_frames_are_the_whole_decode(make_model: MakeModel, vae: TinyVae, plan: ChunkPlan) -> None:
    loaded = make_model(chunk_plan=plan)
    count = plan.chunk(3).stop
    chunks = stream(loaded, vae, count)
    assert [chunk.chunk for chunk in chunks] == [plan.chunk(index) for index in range(4)]
    assert [chunk.latents.shape[2] for chunk in chunks] == [plan.chunk(index).num_frames for index in range(4)]
    assert len(chunks[0].frames) == 1 + 4 * (plan.chunk(0).num_frames - 1)
    assert all(len(chunk.frames) == 12 for chunk in chunks[1:])
    frames = torch.cat([chunk.frames for chunk in chunks])
    whole = vae.decode(latents_of(chunks))[0].permute(1, 2, 3, 0)
    torch.testing.assert_close(frames, whole, rtol=0, atol=1e-5)
    assert frames.std() > 0.01 and not frames.requires_grad


def test_the_stream_begins_with_the_image_latent(make_model: MakeModel, vae: TinyVae) -> None:
    chunks = stream(make_model(), vae)
    assert torch.equal(chunks[0].latents, vae.encode(image()))


def test_a_teacher_is_refused(make_model: MakeModel, vae: TinyVae) -> None:
    with pytest.raises(ValueError, match="this checkpoint is a teacher, which cannot stream"):
        stream(make_model(role="teacher"), vae)


def test_a_length_that_fills_no_chunks_names_the_nearest(make_model: MakeModel, vae: TinyVae) -> None:
    with pytest.raises(ValueError, match=r"6 latent frames do not fill chunks.*nearest that fit: 4 or 7"):
        stream(make_model(), vae, 6)


def test_the_seed_decides(make_model: MakeModel, vae: TinyVae) -> None:
    loaded = make_model()
    first, again, other = (latents_of(stream(loaded, vae, settings=StreamSettings(seed))) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert (first - other)[:, :, 1:].abs().amax(dim=(0, 1, 3, 4)).min() > 0.01
    assert torch.equal(first, latents_of(stream(loaded, vae, settings=StreamSettings(5, 1, 3, (1000, 667, 333)))))


@pytest.mark.parametrize(
    ("settings", "first_changed"),
    [
        (StreamSettings(sink_frames=0, window_frames=4), 7),  # both remember everything until 4 frames have passed
        (StreamSettings(window_frames=2), 4),
        (StreamSettings(window_frames=9), 7),
        (StreamSettings(step_list=(1000, 500)), 1),
    ],
    ids=["no sink", "short window", "long window", "two steps"],
)
def test_settings_overrule_the_checkpoint(
    make_model: MakeModel, vae: TinyVae, settings: StreamSettings, first_changed: int
) -> None:
    """By frame: what is the same until the caches differ, and what is another from there on."""
    loaded = make_model()
    own, other = latents_of(stream(loaded, vae)), latents_of(stream(loaded, vae, settings=settings))
    changed = (own - other).abs().amax(dim=(0, 1, 3, 4))
    assert (changed[:first_changed] == 0).all()
    assert (changed[first_changed:] > 1e-4).all()


def test_a_stream_without_end_goes_on_past_the_tracks(make_model: MakeModel, vae: TinyVae) -> None:
    loaded, decoder = make_model(), TinyStreamingDecoder(vae)
    chunks = stream_chunks(loaded, conditions_of(loaded, vae, 13), decoder, num_latent_frames=None)
    taken = list(islice(chunks, 8))
    assert [chunk.chunk.index for chunk in taken] == list(range(8))
    assert all(chunk.frames.isfinite().all() for chunk in taken)
    decoder_was_in_use = decoder.push(torch.zeros(1, 4, 1, HEIGHT // 8, WIDTH // 8))
    assert len(decoder_was_in_use) == 4
    chunks.close()
    assert len(decoder.push(torch.zeros(1, 4, 1, HEIGHT // 8, WIDTH // 8))) == 1  # reset: a new stream's first frame


def test_a_callback_sees_every_step_and_may_interrupt(make_model: MakeModel, vae: TinyVae) -> None:
    loaded, decoder = make_model(), TinyStreamingDecoder(vae)
    seen: list[tuple[int, int]] = []

    def callback(chunk: Any, step: int, num_steps: int) -> None:
        assert num_steps == 3
        seen.append((chunk.index, step))
        if seen[-1] == (2, 1):
            raise KeyboardInterrupt

    chunks = stream_chunks(loaded, conditions_of(loaded, vae), decoder, num_latent_frames=COUNT, callback=callback)
    assert [next(chunks).chunk.index, next(chunks).chunk.index] == [0, 1]
    with pytest.raises(KeyboardInterrupt):
        next(chunks)
    assert seen == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]  # chunk 0 is the image itself
    assert len(decoder.push(torch.zeros(1, 4, 1, HEIGHT // 8, WIDTH // 8))) == 1


# --- the teacher


@dataclass
class Call:
    """One forward pass: input, timestep, first layer's text keys."""

    latents: Tensor
    timestep: Tensor
    text: Tensor


def teacher(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> tuple[LoadedModel, list[Call]]:
    """A teacher that writes down every call."""
    loaded = make_model(role="teacher", **{"pin_first_latent": False, **changes})
    calls: list[Call] = []
    forward = loaded.model.forward

    def spy(latents: Tensor, timestep: Tensor, context: CrossContext, **how: Any) -> Tensor:
        calls.append(Call(latents.clone(), timestep.clone(), context.text[0][0].clone()))
        return forward(latents, timestep, context, **how)

    monkeypatch.setattr(loaded.model, "forward", spy)
    return loaded, calls


def sample(loaded: LoadedModel, vae: TinyVae, count: int = 4, **how: Any) -> Tensor:
    negative = encode_prompt(loaded.model, loaded.spec, "")
    how = {"num_steps": 3, "sampler": "euler", **how}
    return sample_teacher(loaded, conditions_of(loaded, vae), negative, num_latent_frames=count, **how)


JOINT, MOTION_ONLY, TEXT_ONLY = "joint", "motion only", "text only"


@pytest.mark.parametrize("batched", [True, False], ids=["batched", "one by one"])
@pytest.mark.parametrize(
    ("text", "motion", "passes"),
    [
        (3.0, 1.5, [JOINT, MOTION_ONLY, TEXT_ONLY]),
        (0.0, 2.0, [JOINT, TEXT_ONLY]),
        (2.0, 0.0, [JOINT, MOTION_ONLY]),
        (0.4, 0.6, [JOINT]),
        (0.0, 1.0, [JOINT]),
        (0.0, 0.0, [JOINT]),
    ],
)
def test_forward_passes_of_the_guidance(
    make_model: MakeModel,
    vae: TinyVae,
    monkeypatch: pytest.MonkeyPatch,
    text: float,
    motion: float,
    passes: list[str],
    batched: bool,
) -> None:
    loaded, calls = teacher(make_model, monkeypatch)
    sample(loaded, vae, text_weight=text, motion_weight=motion, batched=batched)
    assert len(calls) == 3 * (1 if batched else len(passes))
    assert all(call.latents.shape[0] == call.timestep.shape[0] == (len(passes) if batched else 1) for call in calls)
    given = conditions_of(loaded, vae).whole(4)
    negative = encode_prompt(loaded.model, loaded.spec, "")
    inputs = torch.cat([call.latents for call in calls]).unflatten(0, (3, len(passes)))
    texts = torch.cat([call.text for call in calls]).unflatten(0, (3, len(passes)))
    assert given.track is not None and given.image is not None and given.track.any()
    for index, which in enumerate(passes):
        track = torch.zeros_like(given.track) if which == TEXT_ONLY else given.track
        context = negative if which == MOTION_ONLY else given.context
        for step in range(3):
            assert torch.equal(inputs[step, index, 12:], track[0])
            assert torch.equal(inputs[step, index, 8:12], given.image[0])
            assert torch.equal(texts[step, index], context.text[0][0][0])
            assert torch.equal(inputs[step, index, :4], inputs[step, 0, :4])  # all see the same noisy latents


def test_the_weights_default_to_the_checkpoints(
    make_model: MakeModel, vae: TinyVae, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, _ = teacher(make_model, monkeypatch, text_weight=2.5, motion_weight=0.5)
    assert torch.equal(sample(loaded, vae), sample(loaded, vae, text_weight=2.5, motion_weight=0.5))
    assert not torch.equal(sample(loaded, vae), sample(loaded, vae, text_weight=3.0, motion_weight=0.5))


@pytest.mark.parametrize("batched", [True, False], ids=["batched", "one by one"])
def test_a_clip_follows_the_equation_written_out(make_model: MakeModel, vae: TinyVae, batched: bool) -> None:
    """Eq. 2, step by step along Euler's path."""
    loaded = make_model(role="teacher", pin_first_latent=False)
    model, layout = loaded.model, loaded.spec.layout
    w_t, w_m = 1.7, 0.9
    given = conditions_of(loaded, vae).whole(4)
    negative = encode_prompt(model, loaded.spec, "")
    x = torch.randn(1, 4, 4, HEIGHT // 8, WIDTH // 8, generator=torch.Generator().manual_seed(11))
    with torch.no_grad():
        for sigma, after in pairwise(teacher_sigmas(3, loaded.spec.shift).tolist()):
            timestep = torch.tensor([1000 * sigma])
            both = model(assemble(layout, x, given), timestep, given.context)
            no_text = model(assemble(layout, x, given), timestep, negative)
            assert given.track is not None
            untold = replace(given, track=torch.zeros_like(given.track))
            no_motion = model(assemble(layout, x, untold), timestep, given.context)
            a = w_t / (w_t + w_m)
            velocity = a * no_text + (1 - a) * no_motion + w_t * (both - no_text) + w_m * (both - no_motion)
            x = x + (after - sigma) * velocity
    clip = sample(loaded, vae, seed=11, text_weight=w_t, motion_weight=w_m, batched=batched)
    torch.testing.assert_close(clip, x, rtol=1e-3, atol=1e-3)
    assert clip.std() > 0.3


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
@pytest.mark.parametrize("layout", [InputLayout((("noise", 4), ("track", 4))), None], ids=["5B", "with image slot"])
def test_a_pinned_first_latent_is_shown_clean_and_comes_out_as_it_is(
    make_model: MakeModel,
    vae: TinyVae,
    monkeypatch: pytest.MonkeyPatch,
    sampler: str,
    layout: InputLayout | None,
) -> None:
    """Wan 2.2 5B: no image channels; latent frame 0 is the image latent and stands at timestep 0."""
    if sampler == "unipc":
        pytest.importorskip("diffusers", reason="needs diffusers")
    changes: dict[str, Any] = {"pin_first_latent": True}
    if layout is not None:
        backbone = replace(make_model().spec.backbone, in_channels=layout.num_channels)
        changes |= {"layout": layout, "backbone": backbone}
    loaded, calls = teacher(make_model, monkeypatch, **changes)
    clip = sample(loaded, vae, sampler=sampler, text_weight=3.0, motion_weight=1.5)
    first = vae.encode(image())
    assert torch.equal(clip[:, :, :1], first)
    assert (clip[:, :, 1:] - first).abs().min(dim=2).values.max() > 0.01
    assert len(calls) == 3
    for call, sigma in zip(calls, teacher_sigmas(3, loaded.spec.shift).tolist(), strict=False):
        assert torch.equal(call.latents[:, :4, :1], first.expand(3, -1, -1, -1, -1))
        level = 1000 * sigma
        torch.testing.assert_close(call.timestep, torch.tensor([[0, level, level, level]] * 3), rtol=1e-4, atol=0.01)


def test_without_a_pin_all_frames_share_the_level(
    make_model: MakeModel, vae: TinyVae, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, calls = teacher(make_model, monkeypatch)
    clip = sample(loaded, vae)
    assert all(call.timestep.shape == (3,) for call in calls)
    assert (clip[:, :, :1] - vae.encode(image())).abs().max() > 0.01


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_a_clips_seed_decides(make_model: MakeModel, vae: TinyVae, sampler: str) -> None:
    if sampler == "unipc":
        pytest.importorskip("diffusers", reason="needs diffusers")
    loaded = make_model(role="teacher", pin_first_latent=False)
    first, again, other = (sample(loaded, vae, seed=seed, sampler=sampler) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.01
    assert first.shape == (1, 4, 4, HEIGHT // 8, WIDTH // 8)


def test_an_unknown_sampler_is_refused(make_model: MakeModel, vae: TinyVae) -> None:
    with pytest.raises(ValueError, match="sampler is 'ddim'; known are euler, unipc"):
        sample(make_model(role="teacher"), vae, sampler="ddim")


def test_a_teachers_callback_may_interrupt(make_model: MakeModel, vae: TinyVae) -> None:
    seen: list[int] = []

    def callback(step: int, num_steps: int, clean: Tensor) -> None:
        assert num_steps == 3 and clean.shape == (1, 4, 4, HEIGHT // 8, WIDTH // 8)
        seen.append(step)
        if step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(make_model(role="teacher"), vae, callback=callback)
    assert seen == [0, 1]
