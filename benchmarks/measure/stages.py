"""The stages of a stream, told apart by what the stream itself tells: no part of it is patched.

It asks for a chunk's conditions, calls back after every denoise step, gives latents to its decoder, finishes what that
made (known detail is given back), hands the chunk over, and remembers it in the cache pass before it asks for the next
one's conditions. At each of these moments an instrument is read: a clock, or a counter of arithmetic.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from motionstream_core.geometry import Chunk
from motionstream_core.models.conditioning import Conditions
from motionstream_core.streaming.decode import StreamingDecoder
from motionstream_core.streaming.rollout import ConditionSource
from motionstream_core.streaming.stream import StreamedChunk

CONDITIONS, STEP, DECODE, FINISH = "conditions", "denoise step", "decode", "finish"
HAND_OVER, CACHE_PASS = "hand-over", "cache pass"
STAGES = (CONDITIONS, STEP, DECODE, FINISH, HAND_OVER, CACHE_PASS)

Reading = TypeVar("Reading")
Amount = TypeVar("Amount")
AmountGiven = TypeVar("AmountGiven", covariant=True)


class Instrument(Protocol[Reading, AmountGiven]):
    """What is read where one stage ends and the next begins."""

    def read(self) -> Reading:
        """How it stands now; nothing is waited for."""
        ...

    def between(self, begun: Reading, ended: Reading) -> AmountGiven:
        """What went by between two readings; asked for when the stream is over."""
        ...


class Stages(Generic[Reading, Amount]):
    """Stands between a stream and its conditions, its decoder and whoever takes its chunks.

    Give `conditions`, this object as decoder, and `after_step` as callback to `stream_chunks`; then take the chunks
    through `handed_over`.
    """

    def __init__(
        self, conditions: ConditionSource, decoder: StreamingDecoder, instrument: Instrument[Reading, Amount]
    ) -> None:
        self._conditions, self._decoder, self._instrument = conditions, decoder, instrument
        self._chunks: list[dict[str, list[tuple[Reading, Reading]]]] = []
        self._open: tuple[str, Reading] | None = None
        self.asked_s = 0.0
        """When the newest chunk's conditions were asked for, by the host's clock."""

    def conditions(self, chunk: Chunk) -> Conditions:
        """A condition source."""
        self.asked_s = time.perf_counter()
        self._close()
        self._chunks.append(defaultdict(list))
        self._begin(CONDITIONS)
        made = self._conditions(chunk)
        self._begin(STEP)
        return made

    def after_step(self, chunk: Chunk, step: int, num_steps: int) -> None:
        """A step callback."""
        self._close()
        if step + 1 < num_steps:
            self._begin(STEP)

    def push(self, latents: Tensor) -> Tensor:
        """A streaming decoder's."""
        with self._decoding():
            return self._decoder.push(latents)

    def push_both(self, latents: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """A streaming decoder's."""
        with self._decoding():
            return self._decoder.push_both(latents, others)

    @contextlib.contextmanager
    def _decoding(self) -> Generator[None, None, None]:
        self._open = None if self._open and self._open[0] == STEP else self._open  # a given chunk took no step
        self._begin(DECODE)
        yield
        self._begin(FINISH)

    def reset(self) -> None:
        """A streaming decoder's."""
        self._decoder.reset()

    def state(self) -> object:
        """A streaming decoder's."""
        return self._decoder.state()

    def restore(self, state: object) -> None:
        """A streaming decoder's."""
        self._decoder.restore(state)

    def handed_over(self, chunks: Iterable[StreamedChunk], take: Callable[[Tensor], object]) -> Iterator[StreamedChunk]:
        """The stream's chunks, each when `take` has had its frames; what the caller does meanwhile is in no stage."""
        for streamed in chunks:
            self._begin(HAND_OVER)
            take(streamed.frames)
            self._close()
            yield streamed
            self._begin(CACHE_PASS)
        self._close()

    def amounts(self) -> list[dict[str, list[Amount]]]:
        """Of every chunk, what each stage took: of the steps one after the other, of others once."""
        between = self._instrument.between
        return [{name: [between(*pair) for pair in pairs] for name, pairs in chunk.items()} for chunk in self._chunks]

    def _begin(self, name: str) -> None:
        self._close()
        self._open = name, self._instrument.read()

    def _close(self) -> None:
        if self._open is not None:
            name, begun = self._open
            self._chunks[-1][name].append((begun, self._instrument.read()))
        self._open = None
