"""A stream measured chunk by chunk: its stages, its pace and whether that holds, its latency, its memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from motionstream_core.streaming.render.renderer import streaming_decoder
from motionstream_core.streaming.render.warm_up import first_steady_chunk
from motionstream_core.streaming.stream import StreamSettings, named, stream_chunks

from .cost import Cost
from .models import Stream
from .stages import STAGES, STEP, Stages
from .timing import Clock, forget_peak, peak_gib, settle, spread

WARM_SHARE = 3  # of a stream's chunks the first third only warms up


@torch.inference_mode()
def measured(
    stream: Stream, device: torch.device, num_chunks: int, settings: StreamSettings | None = None
) -> dict[str, Any]:
    """Milliseconds of the stream's steady chunks, as medians and 95th percentiles, and of all chunks in their order.

    "chunk" is from one chunk's frames in the host's memory to the next one's; "boundary to picture" from where a
    chunk's tracks are asked for to its frames in the host's memory. "stages": a chunk's, its steps one by one.
    "drift": the median chunk of the last tenth of the steady ones over that of the first tenth.
    """
    settings = named(settings or StreamSettings(), stream.loaded)
    stages = Stages(stream.conditions, streaming_decoder(stream.vae), Clock(device))
    plan = stream.loaded.spec.chunk_plan
    chunks = stream_chunks(
        stream.loaded,
        stages.conditions,
        stages,
        latent_size=stream.conditions.latent_size,
        num_latent_frames=plan.chunk(num_chunks - 1).stop,
        settings=settings,
        callback=stages.after_step,
    )
    chunk_ms, latency_ms, num_frames = [], [], 0
    forget_peak(device)
    settle(device)
    begun = before = time.perf_counter()
    first_ms = 0.0
    for streamed in stages.handed_over(chunks, lambda frames: frames.cpu()):
        now = time.perf_counter()
        chunk_ms.append((now - before) * 1e3)
        latency_ms.append((now - stages.asked_s) * 1e3)
        picture_alone = stream.loaded.spec.pin_first_latent and streamed.chunk.stop == 1
        if not first_ms and not picture_alone:
            first_ms = (now - begun + stream.begun_s) * 1e3
        before, num_frames = now, len(streamed.frames)
    warm = max(num_chunks // WARM_SHARE, min(first_steady_chunk(stream.loaded.spec, settings) + 1, num_chunks - 1))
    steady = chunk_ms[warm:]
    return {
        "frames a chunk": num_frames,
        "first frame ms": round(first_ms, 1),
        "chunk ms": spread(steady),
        "frames a second": round(num_frames / statistics.median(steady) * 1e3, 2),
        "boundary to picture ms": spread(latency_ms[warm:]),
        "drift": round(drift(steady), 3),
        "peak GiB": peak_gib(device),
        "stages": {name: spread(each) for name, each in _by_stage(stages.amounts()[warm:]).items()},
        "chunks ms": [round(each, 2) for each in chunk_ms],
    }


def drift(steady: Sequence[float]) -> float:
    """Median of the last tenth over that of the first tenth."""
    tenth = max(1, len(steady) // 10)
    return statistics.median(steady[-tenth:]) / statistics.median(steady[:tenth])


def _by_stage(chunks: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
    """Milliseconds of each stage."""
    found: dict[str, list[float]] = {name: [] for name in STAGES}
    for chunk in chunks:
        for name, each in chunk.items():
            found[name] += each
    return {name: each for name, each in found.items() if each}


def with_costs(told: dict[str, Any], costs: Mapping[str, Cost], num_steps: int, tflop_s: float) -> dict[str, Any]:
    """What `measured` told, with the arithmetic of every stage and its share of the floor: all of it at `tflop_s`."""
    stages = {}
    for name, taken in told["stages"].items():
        cost = costs.get(name, Cost()) * (1 / num_steps if name == STEP else 1)
        stages[name] = taken | _rate(cost, taken["median"], tflop_s)
    whole = _rate(sum(costs.values(), Cost()), told["chunk ms"]["median"], tflop_s)
    return told | {"stages": stages, "chunk ms": told["chunk ms"] | whole}


def _rate(cost: Cost, ms: float, tflop_s: float) -> dict[str, float]:
    tflop = cost.flop / 1e12
    rate = tflop / ms * 1e3 if ms else 0.0
    floor = cost.flop_in_bf16 / 1e9 / tflop_s
    shares = {"TFLOP/s": rate, "share of the floor": floor / ms if ms else 0.0}
    return {"TFLOP": tflop, "GB moved": cost.bytes / 1e9} | {
        name: float(f"{each:.4g}") for name, each in shares.items()
    }
