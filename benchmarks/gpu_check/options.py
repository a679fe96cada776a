"""Part 4: fp8, compiled blocks, CUDA graphs: in turns with the plain stream, and what else they make."""

from __future__ import annotations

import statistics
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure.models import opened, preset_spec, random_stream, tiny_vae, with_options
from benchmarks.measure.timing import median_ms, seconds
from motionstream_core.streaming.render.renderer import streaming_decoder
from motionstream_core.streaming.render.warm_up import first_steady_chunk
from motionstream_core.streaming.rollout import remember
from motionstream_core.streaming.stream import StreamSettings, named, stream_cache

from .record import Record

PART = "options"
CHUNKS, TINY_CHUNKS = 12, 5
PLAIN = "plain"
# Of the latents' own size, in a stream of random weights that feeds on what it makes.
ALLOWED = {"compiled": 0.1, "fp8": 0.5, "fp8, compiled": 0.5}
GRAPHS = "compiled, CUDA graphs"


def run(record: Record, device: torch.device, tiny: bool) -> None:
    """See the module."""
    compiler = {"backend": "eager"} if tiny else {}
    variants: dict[str, dict[str, Any]] = {
        PLAIN: {},
        "compiled": {"compiled": True, **compiler},
        "fp8": {"arithmetic": "fp8"},
        "fp8, compiled": {"arithmetic": "fp8", "compiled": True, **compiler},
    }
    _in_turns(record, device, tiny, variants)
    if device.type == "cuda":
        with record.checking(PART, "decoding beside the cache pass"):
            record.tell(PART, "decoding beside the cache pass", _side_by_side(device, tiny))
        # last, since nobody saw yet what it does
        _in_turns(record, device, tiny, {PLAIN: {}, GRAPHS: {"compiled": True, "mode": "reduce-overhead"}})


@torch.inference_mode()
def _in_turns(record: Record, device: torch.device, tiny: bool, variants: dict[str, dict[str, Any]]) -> None:
    """Streams of the same weights, noise and conditions, a chunk of each after a chunk of the other."""
    spec, num_chunks = preset_spec("wan2.1-1.3b", tiny), TINY_CHUNKS if tiny else CHUNKS
    vae, streams = tiny_vae(spec, tiny).to(device), {}
    for name, options in variants.items():
        try:
            stream = random_stream(spec, vae, device, torch.bfloat16, num_chunks)
            streams[name] = opened(with_options(stream, **options), num_chunks)
        except ValueError as error:  # what this device does not have is a fact, not a fault
            record.tell(PART, name, f"not tried: {error}")
    taken: dict[str, list[float]] = {name: [] for name in streams}
    made: dict[str, list[Tensor]] = {name: [] for name in streams}
    for _ in range(num_chunks):
        for name, chunks in list(streams.items()):
            with record.checking(PART, name):
                del streams[name]  # one that fails has no next chunk
                taken[name].append(seconds(device, lambda name=name, chunks=chunks: made[name].append(_next(chunks))))
                streams[name] = chunks
    steady = first_steady_chunk(spec, named(StreamSettings(), stream.loaded)) + 2  # its cache pass is in the next one
    plain = statistics.median(taken[PLAIN][steady:])
    for name in streams:
        median = statistics.median(taken[name][steady:])
        told = {"ms a chunk": round(median * 1e3, 3), "of plain": round(median / plain, 4)}
        record.tell(PART, name, told | {"s until steady": round(sum(taken[name][:steady]), 2)})
        if name in ALLOWED:
            apart = max(_apart(ours, wanted) for ours, wanted in zip(made[name], made[PLAIN], strict=True))
            record.compare(PART, f"{name}, latents", apart, ALLOWED[name])


@torch.inference_mode()
def _side_by_side(device: torch.device, tiny: bool) -> dict[str, float]:
    """ms of a chunk's decoding and cache pass one after the other, and on two streams of the device."""
    spec = preset_spec("wan2.1-1.3b", tiny)
    vae = tiny_vae(spec, tiny).decode_in(torch.bfloat16).to(device)
    stream = random_stream(spec, vae, device, torch.bfloat16, num_chunks=2)
    conditions, decoder = stream.conditions(spec.chunk_plan.chunk(1)), streaming_decoder(vae)
    cache = stream_cache(stream.loaded, stream.conditions.latent_size, StreamSettings())
    shape = 1, spec.backbone.out_channels, spec.chunk_plan.chunk_frames, *stream.conditions.latent_size
    latents = torch.randn(shape, device=device, dtype=torch.bfloat16)
    own, other = torch.cuda.current_stream(device), torch.cuda.Stream(device)

    def keep() -> None:
        remember(stream.loaded.model, spec.layout, conditions, latents, cache)

    def in_order() -> None:
        decoder.push(latents)
        keep()

    def at_once() -> None:
        other.wait_stream(own)
        with torch.cuda.stream(other):
            decoder.push(latents)
        keep()
        own.wait_stream(other)

    return {"one after the other ms": median_ms(device, in_order), "at once ms": median_ms(device, at_once)}


def _next(chunks: Any) -> Tensor:
    """The next chunk's latents on the CPU; its frames come there, too."""
    chunk = next(chunks)
    chunk.frames.cpu()
    return chunk.latents.float().cpu()


def _apart(got: Tensor, wanted: Tensor) -> float:
    """Of the size of what is wanted."""
    return float((got - wanted).norm() / wanted.norm())
