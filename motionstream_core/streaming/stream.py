"""One call from conditions to video: the student's stream of frames, and the teacher's whole clip."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..checkpoints.spec import ModelSpec
from ..diffusion.guidance import Pass, joint_guidance
from ..diffusion.noise import noise_generator
from ..diffusion.sample import StepCallback as TeacherCallback
from ..diffusion.sample import euler_sample, unipc_sample
from ..diffusion.schedule import student_sigmas, teacher_sigmas
from ..geometry import Chunk
from ..models.conditioning import Conditions, assemble, batch_conditions
from ..models.finite import require_finite_latents
from ..models.kv_cache import KVCache
from ..models.wan import CrossContext
from .conditions import StreamConditions
from .decode import StreamingDecoder
from .detail import with_detail
from .network import SpecifiedNetwork
from .rollout import ConditionSource, RolledChunk, StepCallback, pinned_input, rollout, seeded_noise

GuidedVelocity = Callable[[Tensor, float | Tensor], Tensor]
SAMPLERS = {"euler": euler_sample, "unipc": unipc_sample}


@dataclass(frozen=True)
class StreamSettings:
    """How a student streams; None takes the checkpoint's own value (`ModelSpec`)."""

    seed: int = 0
    sink_frames: int | None = None
    window_frames: int | None = None
    step_list: tuple[int, ...] | None = None


@dataclass(frozen=True)
class StreamedChunk:
    """A chunk's latents (1 c f h w) and the frames (t h w 3) in [0, 1] that it completes."""

    chunk: Chunk
    latents: Tensor
    frames: Tensor


def step_list(spec: ModelSpec, steps: int | None) -> tuple[int, ...]:
    """`steps` levels of noise, evenly spread from 1000 down; None, or as many as it has: the checkpoint's own."""
    if steps is None or steps == len(spec.step_list):
        return spec.step_list
    return tuple(round(1000 * (steps - i) / steps) for i in range(steps))


def named(settings: StreamSettings, loaded: SpecifiedNetwork) -> StreamSettings:
    """`settings` with the checkpoint's own values where they name none."""
    spec = loaded.spec
    return replace(
        settings,
        sink_frames=spec.sink_frames if settings.sink_frames is None else settings.sink_frames,
        window_frames=spec.window_frames if settings.window_frames is None else settings.window_frames,
        step_list=settings.step_list or spec.step_list,
    )


def stream_cache(loaded: SpecifiedNetwork, latent_size: tuple[int, int], settings: StreamSettings) -> KVCache:
    """An empty memory for a stream of latents of `latent_size` (height, width)."""
    spec, settings = loaded.spec, named(settings, loaded)
    assert settings.sink_frames is not None and settings.window_frames is not None
    return loaded.model.make_cache(
        1,
        *latent_size,
        sink_frames=settings.sink_frames,
        window_frames=settings.window_frames,
        chunk_frames=max(spec.chunk_plan.chunk_frames, spec.chunk_plan.first_chunk_frames),
        rope_rule=spec.rope_rule,
    )


def stream_chunks(
    loaded: SpecifiedNetwork,
    conditions: ConditionSource,
    decoder: StreamingDecoder,
    *,
    latent_size: tuple[int, int] | None = None,
    num_latent_frames: int | None,
    settings: StreamSettings | None = None,
    callback: StepCallback | None = None,
    cache: KVCache | None = None,
    first_chunk: int = 0,
    given: Tensor | None = None,
    decoded: Callable[[Tensor], None] | None = None,
) -> Generator[StreamedChunk, None, None]:
    """The student's stream, chunk by chunk, without end for num_latent_frames None.

    conditions: `StreamConditions`; or any other source, with the `latent_size` (height, width).
    decoded: is given frames (t h w 3) as soon as they are decoded, one latent frame's at a time.
    cache, first_chunk: of a stream that goes on (`stream_cache`); cache and decoder then remember what was before.
    given: latents (1 c f h w) that the stream begins with, in whole chunks: remembered and decoded like its own, and
        not yielded. num_latent_frames counts them.

    Raises ValueError for a teacher, for a length that fills no whole chunks (naming the nearest that do), and for a
    chunk whose latents are not finite.
    """
    spec, model = loaded.spec, loaded.model
    settings = named(settings or StreamSettings(), loaded)
    if spec.role != "student":
        raise ValueError("this checkpoint is a teacher, which cannot stream; load a student or use the teacher sampler")
    if num_latent_frames is not None:
        spec.chunk_plan.num_chunks(num_latent_frames)
    if latent_size is None:
        assert isinstance(conditions, StreamConditions), "another source does not know the size"
        latent_size = conditions.latent_size
    assert settings.step_list is not None
    cache = stream_cache(loaded, latent_size, settings) if cache is None else cache
    device, dtype = model.placement
    given = None if given is None else given.to(device, dtype)
    if not first_chunk:
        decoder.reset()
    shape = (1, spec.backbone.out_channels, *latent_size)
    chunks = rollout(
        model,
        spec.layout,
        conditions,
        plan=spec.chunk_plan,
        sigmas=student_sigmas(settings.step_list, spec.shift),
        cache=cache,
        noise=seeded_noise(settings.seed, shape, dtype, device),
        num_latent_frames=num_latent_frames,
        first_chunk=first_chunk,
        given=given,
        callback=callback,
    )
    try:
        for rolled in chunks:
            if given is not None and rolled.chunk.stop <= given.shape[2]:
                pushed(decoder, spec, rolled.latents, rolled.forecast and rolled.forecast.latents)
                continue
            finite = rolled.latents.isfinite().all()
            with torch.no_grad():
                frames = _decoded(decoder, spec, rolled, finite, decoded)
            yield StreamedChunk(rolled.chunk, rolled.latents, frames)
    finally:
        chunks.close()
        decoder.reset()


def pushed(
    decoder: StreamingDecoder, spec: ModelSpec, latents: Tensor, told: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Frames (t h w 3) of the next latents, and those of what a model was told that is told what its frames are like.

    told: its latents; where there are none it has made what it was told. A stream has both from its first push on.
    """
    if spec.image_rule != "carried":
        return decoder.push(latents), None
    return decoder.push_both(latents, latents if told is None else told.to(latents))


def _decoded(
    decoder: StreamingDecoder,
    spec: ModelSpec,
    rolled: RolledChunk,
    finite: Tensor,
    show: Callable[[Tensor], None] | None,
) -> Tensor:
    """Frames (t h w 3) of a chunk; `show` is given them one latent frame's at a time.

    `finite` is asked for when the decoder has its work, so that the device does not wait for the answer.
    """
    pieces, done, num_latents = [], 0, rolled.latents.shape[2] if show is None else 1
    for index, latents in enumerate(rolled.latents.split(num_latents, dim=2)):
        told = None if rolled.forecast is None else rolled.forecast.latents[:, :, index : index + num_latents]
        frames, foreseen = pushed(decoder, spec, latents, told)
        if not pieces:
            require_finite_latents(finite, f"chunk {rolled.chunk.index}")
        if rolled.forecast is not None and foreseen is not None:
            of = rolled.forecast.part(slice(done, done + len(frames)), slice(index, index + num_latents))
            frames = with_detail(frames, foreseen, of, latents)
        done += len(frames)
        pieces.append(frames)
        if show is not None:
            show(frames)
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


@torch.no_grad()
def sample_teacher(
    loaded: SpecifiedNetwork,
    conditions: StreamConditions,
    negative: CrossContext,
    *,
    num_latent_frames: int,
    num_steps: int = 50,
    text_weight: float | None = None,
    motion_weight: float | None = None,
    sampler: str = "unipc",
    seed: int = 0,
    batched: bool = True,
    callback: TeacherCallback | None = None,
) -> Tensor:
    """Latents (1 c f h w) of a whole clip under joint guidance (arXiv 2511.01266, Eq. 2).

    negative: the prompt that stands for "no text". Weights None: the checkpoint's own. Raises ValueError for an
    unknown sampler, and for latents that are not finite.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler is {sampler!r}; known are {', '.join(SAMPLERS)}")
    spec, (device, _) = loaded.spec, loaded.model.placement
    whole = conditions.whole(num_latent_frames)
    predict = guided_velocity(
        loaded,
        whole,
        negative,
        spec.text_weight if text_weight is None else text_weight,
        spec.motion_weight if motion_weight is None else motion_weight,
        batched,
    )
    generator = noise_generator(seed)
    shape = (1, spec.backbone.out_channels, num_latent_frames, *conditions.latent_size)
    noise = torch.randn(shape, generator=generator).to(device)
    clean = SAMPLERS[sampler](predict, noise, teacher_sigmas(num_steps, spec.shift), callback=callback)
    if whole.clean_first is not None:
        clean = torch.cat([whole.clean_first.to(clean.dtype), clean[:, :, 1:]], dim=2)
    require_finite_latents(clean.isfinite().all(), "the clip")
    return clean


def guided_velocity(
    loaded: SpecifiedNetwork,
    conditions: Conditions,
    negative: CrossContext,
    text_weight: float,
    motion_weight: float,
    batched: bool = True,
) -> GuidedVelocity:
    """(latents, sigma) -> jointly guided velocity of `loaded` under `conditions`, for samplers and for distillation.

    sigma: a number, or (b), one level for each clip.
    """
    variants = {
        Pass.JOINT: conditions,
        Pass.MOTION_ONLY: conditions.with_context(negative),
        Pass.TEXT_ONLY: conditions.without_motion(),
    }
    joined: dict[tuple[Pass, ...], Conditions] = {}  # conditions do not change from step to step

    def velocity(latents: Tensor, sigma: float | Tensor) -> Tensor:
        def predict(passes: tuple[Pass, ...]) -> list[Tensor]:
            if passes not in joined:
                joined[passes] = batch_conditions([variants[each] for each in passes])
            together = joined[passes]
            noisy = latents.repeat(len(passes), 1, 1, 1, 1).to(loaded.model.placement[1])
            level = sigma.repeat(len(passes)) if isinstance(sigma, Tensor) else sigma
            noisy, timestep = pinned_input(noisy, level, together.clean_first)
            inputs = assemble(loaded.spec.layout, noisy, together)
            return list(loaded.model(inputs, timestep, together.context).chunk(len(passes)))

        return joint_guidance(predict, text_weight, motion_weight, batched=batched)

    return velocity
