"""Part 2: the device computes what the CPU computes, in every way that there is to compute it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from benchmarks.measure.models import full_vae, opened, preset_spec, random_stream, tiny_vae
from motionstream_core.checkpoints import load_model, load_tiny_vae
from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import PHOTO_STUDENT, PHOTO_TINY_VAE, STUDENT, TEACHER, TINY_VAE
from motionstream_core.models.attention import attention, available_backends
from motionstream_core.models.kv_cache import RopeRule
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.stream import sample_teacher, stream_chunks
from motionstream_core.training.engine.engine import Compute

from .record import Record
from .training import TINY_LATENT_FRAMES, stage_steps

PART = "correctness"
PRESETS = ("wan2.1-1.3b", "wan2.2-5b")  # the others differ from these by switches of the training
CPU = torch.device("cpu")
PICTURES = 2e-2  # of values in [0, 1]: a step of a long stream may turn a last bit into a few
LATENTS = 5e-3  # of the latents' own spread
LOSSES = 1e-3  # of the loss on the CPU
HALF = 0.05  # bf16 has three digits
FRAMES, TINY_FRAMES = 25, 13


def run(record: Record, device: torch.device, tiny: bool) -> None:
    """See the module."""
    with _exact_products():
        _attention(record, device)
        _bundled(record, device, TINY_FRAMES if tiny else FRAMES)
        with record.checking(PART, "bundled teacher"):
            record.compare(PART, "bundled teacher", _apart(_taught(device), _taught(CPU)), LATENTS)
        for preset in PRESETS:
            for rule in get_args(RopeRule):
                with record.checking(PART, f"{preset}, {rule}"):
                    got, wanted = _rolled(preset, rule, device), _rolled(preset, rule, CPU)
                    record.compare(PART, f"{preset}, {rule}", _apart(got, wanted), LATENTS)
        _vaes(record, device, tiny)
        for preset in PRESETS:
            with record.checking(PART, f"training, {preset}"):
                _training(record, device, preset)


@contextmanager
def _exact_products() -> Iterator[None]:
    """fp32 is fp32: no TF32 inside."""
    kept = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept


def _apart(got: Tensor, wanted: Tensor) -> float:
    """Largest difference, in units of the wanted values' spread."""
    return float((got.float().cpu() - wanted.float()).abs().max() / wanted.float().std().clamp(min=1e-6))


def _attention(record: Record, device: torch.device) -> None:
    """Every backend in bf16 against the formula in fp32 on the CPU."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, tokens, 4, 64, generator=generator) for tokens in (96, 160, 160))
    wanted = attention(q, k, v, backend="matmul")
    half = [each.to(device, torch.bfloat16) for each in (q, k, v)]
    names = (*available_backends(device), "matmul", "auto")
    for name in names:
        with record.checking(PART, f"attention, {name}"):
            got = attention(*half, backend=name)  # type: ignore[arg-type]
            record.compare(PART, f"attention, {name}", float((got.float().cpu() - wanted).abs().max()), HALF)


@torch.inference_mode()
def _streamed(device: torch.device, bundle: tuple[Path, Path, str], dtype: torch.dtype, num_frames: int) -> Tensor:
    """Frames (t h w 3) of the demo's example by a bundled student, on the CPU."""
    student, vae_path, prompt = bundle
    loaded, vae = load_model(student, dtype), load_tiny_vae(vae_path, dtype).to(device)
    loaded.model.to(device)
    example = drawn_example(num_frames)
    context = encode_prompt(loaded.model, loaded.spec, prompt)
    conditions = StreamConditions(
        loaded.model, loaded.spec, context, KnownTracks(example.tracks), image=_picture(example.image, device), vae=vae
    )
    length = loaded.spec.vae_stride.num_latent_frames(num_frames)
    chunks = stream_chunks(loaded, conditions, TinyStreamingDecoder(vae), num_latent_frames=length)
    return torch.cat([chunk.frames.cpu() for chunk in chunks])


def _picture(image: Any, device: torch.device) -> Tensor:
    """(h w 3) uint8 to (1 3 1 h w) in [0, 1]."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None, :, None].to(device).float() / 255


def _bundled(record: Record, device: torch.device, num_frames: int) -> None:
    """Both bundled students in fp32 and bf16, against themselves in fp32 on the CPU."""
    bundles = {"shapes": (STUDENT, TINY_VAE, drawn_example(2).prompt), "pictures": (PHOTO_STUDENT, PHOTO_TINY_VAE, "")}
    for subject, bundle in bundles.items():
        fact = f"bundled student for {subject}"
        with record.checking(PART, fact):
            wanted = _streamed(CPU, bundle, torch.float32, num_frames)
            exact = _streamed(device, bundle, torch.float32, num_frames) - wanted
            record.compare(PART, f"{fact}, fp32", float(exact.abs().max()), PICTURES)
            half = _streamed(device, bundle, torch.bfloat16, num_frames) - wanted
            # single pixels at edges may move; the picture may not
            record.compare(PART, f"{fact}, bf16, mean", float(half.abs().mean()), PICTURES)


@torch.inference_mode()
def _taught(device: torch.device) -> Tensor:
    """Latents of the bundled teacher under joint guidance."""
    loaded, vae = load_model(TEACHER, torch.float32), load_tiny_vae(TINY_VAE).to(device)
    loaded.model.to(device)
    example = drawn_example(13)
    context = encode_prompt(loaded.model, loaded.spec, example.prompt)
    conditions = StreamConditions(
        loaded.model, loaded.spec, context, KnownTracks(example.tracks), image=_picture(example.image, device), vae=vae
    )
    negative = encode_prompt(loaded.model, loaded.spec, "")
    return sample_teacher(loaded, conditions, negative, num_latent_frames=4, num_steps=3, sampler="euler").cpu()


@torch.inference_mode()
def _rolled(preset: str, rule: RopeRule, device: torch.device) -> Tensor:
    """Latents of a narrow student of a recipe under a rope rule; past its window, so that frames are evicted."""
    spec = replace(preset_spec(preset, True), rope_rule=rule)
    stream = random_stream(spec, tiny_vae(spec, True), CPU, torch.float32, num_chunks=4)
    moved = StreamConditions(
        stream.loaded.model.to(device),
        spec,
        _on(stream.conditions.context, device),
        stream.conditions.tracks,
        source=_on(stream.conditions.source, device),
        frame_size=spec.frame_size,
    )
    rolled = replace(stream, conditions=moved, vae=stream.vae.to(device))
    return torch.cat([chunk.latents.cpu() for chunk in opened(rolled, 4)], dim=2)


def _on(value: Any, device: torch.device) -> Any:
    """A copy of a dataclass of tensors, on `device`."""
    moved = copy.copy(value)
    for name, each in vars(value).items():
        object.__setattr__(moved, name, _moved(each, device))
    return moved


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, list | tuple):
        return type(value)(_moved(each, device) for each in value)
    return value


@torch.inference_mode()
def _vaes(record: Record, device: torch.device, tiny: bool) -> None:
    """Encoding and decoding a clip of noise, by the tiny VAEs and by the full one where diffusers is at hand."""
    for preset in PRESETS:
        vae = tiny_vae(preset_spec(preset, True), tiny)
        _round_trip(record, device, f"tiny VAE of {preset}", vae, vae.config.stride.space)
    with record.checking(PART, "full VAE"):
        _round_trip(
            record, device, "full VAE", full_vae(preset_spec("wan2.1-1.3b", True), torch.float32, "cpu", tiny), 8
        )


def _round_trip(record: Record, device: torch.device, name: str, vae: Any, stride: int) -> None:
    clip = torch.rand(1, 3, 9, 4 * stride, 6 * stride, generator=torch.Generator().manual_seed(6))
    with record.checking(PART, name):
        latents = vae.encode(clip)
        frames = vae.decode(latents)
        vae.to(device)
        record.compare(PART, f"{name}, encoded", _apart(vae.encode(clip.to(device)), latents), LATENTS)
        record.compare(PART, f"{name}, decoded", _apart(vae.decode(latents.to(device)), frames), LATENTS)


def _training(record: Record, device: torch.device, preset: str) -> None:
    """One step of each stage: loss and length of the gradient, by the same weights and draws."""

    def told(where: torch.device) -> dict[str, dict[str, float]]:
        compute = Compute(where, "fp32", activation_checkpointing=True)
        return {name: step() for name, step in stage_steps(preset, compute, True, TINY_LATENT_FRAMES, CPU)}

    wanted, got = told(CPU), told(device)
    for stage, values in wanted.items():
        for name, value in values.items():
            apart = abs(got[stage][name] - value) / max(abs(value), 1e-6)
            record.compare(PART, f"training, {preset}, {stage}, {name}", apart, LOSSES)
