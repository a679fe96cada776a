"""Part 3: the stream at full size with random weights: every stage's time, frames a second, latency, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from motionstream_core.geometry import Chunk
from motionstream_core.models.conditioning import Conditions
from motionstream_core.streaming.decode import StreamingDecoder, TinyStreamingDecoder
from motionstream_core.streaming.stream import StreamedChunk, stream_chunks

from .models import Stream, random_stream
from .record import Record
from .timing import forget_peak, matrix_rate, peak_gib, settle, spread

PART = "stream"
CHUNKS, TINY_CHUNKS = 16, 4
PRESETS = {"1.3B 832x480": "wan2.1-1.3b", "5B 1280x704": "wan2.2-5b"}


class Stages:
    """How long each stage of a stream takes, by the device's own clock: nothing is waited for in between.

    It stands between the stream and its conditions, its decoder and its model.
    """

    def __init__(self, stream: Stream, device: torch.device) -> None:
        self._stream, self._device = stream, device
        self._model, self._decoder = stream.loaded.model, TinyStreamingDecoder(stream.vae)
        self._num_steps = len(stream.loaded.spec.step_list)
        self._marks: list[tuple[str, Any, Any]] = []
        self._passes = 0
        self._begun: Any = None
        self.asked = 0.0  # when the newest chunk's conditions were asked for, by the host's clock

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The model's passes are timed inside."""
        hooks = (
            self._model.register_forward_pre_hook(self._pass_begins),
            self._model.register_forward_hook(self._pass_ends),
        )
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def conditions(self, chunk: Chunk) -> Conditions:
        """A condition source."""
        self.asked, self._passes = time.perf_counter(), 0
        begun = self._now()
        made = self._stream.conditions(chunk)
        self._marks.append(("conditions", begun, self._now()))
        return made

    def push(self, latents: Tensor) -> Tensor:
        """A streaming decoder's."""
        begun = self._now()
        frames = self._decoder.push(latents)
        self._marks.append(("tiny decode", begun, self._now()))
        return frames

    def reset(self) -> None:
        """A streaming decoder's."""
        self._decoder.reset()

    def state(self) -> object:
        """A streaming decoder's."""
        return self._decoder.state()

    def restore(self, state: object) -> None:
        """A streaming decoder's."""
        self._decoder.restore(state)

    def milliseconds(self) -> dict[str, list[float]]:
        """Of every stage, in the order of the stream."""
        settle(self._device)
        found: dict[str, list[float]] = {}
        for name, begun, ended in self._marks:
            taken = begun.elapsed_time(ended) if self._device.type == "cuda" else (ended - begun) * 1e3
            found.setdefault(name, []).append(taken)
        return found

    def _now(self) -> Any:
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _pass_begins(self, *_: object) -> None:
        self._begun = self._now()

    def _pass_ends(self, *_: object) -> None:
        name = "denoise step" if self._passes < self._num_steps else "cache pass"
        self._marks.append((name, self._begun, self._now()))
        self._passes += 1


def opened(
    stream: Stream, num_chunks: int, source: Callable[[Chunk], Conditions] | None = None, decoder: Any = None
) -> Iterator[StreamedChunk]:
    """The stream's chunks; through others' conditions and decoder where they are given."""
    coder: StreamingDecoder = decoder or TinyStreamingDecoder(stream.vae)
    return stream_chunks(
        stream.loaded,
        source or stream.conditions,
        coder,
        latent_size=stream.conditions.latent_size,
        num_latent_frames=stream.loaded.spec.chunk_plan.chunk(num_chunks - 1).stop,
    )


@torch.inference_mode()
def measured(stream: Stream, device: torch.device, num_chunks: int) -> dict[str, Any]:
    """What is told of a stream; its first third only warms up."""
    stages, chunk_ms, latency_ms, num_frames = Stages(stream, device), [], [], 0
    with stages.watching():
        settle(device)
        before = time.perf_counter()
        for streamed in opened(stream, num_chunks, stages.conditions, stages):
            num_frames = len(streamed.frames.cpu())
            now = time.perf_counter()
            chunk_ms.append((now - before) * 1e3)
            latency_ms.append((now - stages.asked) * 1e3)
            before = now
    warm = num_chunks // 3
    steady = spread(chunk_ms[warm:])
    told: dict[str, Any] = {
        "first chunk ms": round(chunk_ms[0], 1),
        "chunk ms": steady,
        "frames a second": round(num_frames / steady["median"] * 1e3, 2),
        "chunk boundary to picture ms": spread(latency_ms[warm:]),
        "peak GiB": peak_gib(device),
    }
    return told | {f"{name} ms": spread(each[len(each) // 3 :]) for name, each in stages.milliseconds().items()}


@torch.inference_mode()
def chunk_tflop(stream: Stream) -> float:
    """Arithmetic of one steady chunk, its conditions and its decoding."""
    chunks = opened(stream, 4)
    for _ in range(3):
        next(chunks)
    with FlopCounterMode(display=False) as counter:
        next(chunks)
    chunks.close()  # type: ignore[attr-defined]  # a generator
    return counter.get_total_flops() / 1e12


def run(record: Record, device: torch.device, tiny: bool) -> None:
    """See the module."""
    num_chunks = TINY_CHUNKS if tiny else CHUNKS
    rate = matrix_rate(device, 64 if tiny else 8192)
    for name, preset in PRESETS.items():
        with record.checking(PART, name):
            forget_peak(device)
            stream = random_stream(preset, device, torch.bfloat16, tiny, num_chunks)
            told = measured(stream, device, num_chunks)
            record.tell(PART, name, told)
            tflop = chunk_tflop(stream)
            floor = tflop / rate * 1e3
            share = {"TFLOP": round(tflop, 6), "floor ms": round(floor, 3)}
            share["share of the floor"] = round(floor / told["chunk ms"]["median"], 3)
            record.tell(PART, f"{name}, arithmetic of a chunk", share)
            stream.vae.to(torch.bfloat16).to(memory_format=torch.channels_last)
            record.tell(PART, f"{name}, tiny decode in bf16", measured(stream, device, num_chunks))
            del stream
