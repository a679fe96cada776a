"""What is no number: found where a picture comes in, and once a chunk where latents are made."""

from __future__ import annotations

import pytest
import torch

from motionstream_core.streaming import stream as streaming
from motionstream_core.streaming.decode import TinyStreamingDecoder
from tests.hostile.streams import SIZE, model, stream

pytestmark = pytest.mark.hostile


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_picture_of_no_numbers_is_refused_at_entry(value: float) -> None:
    image = torch.full((1, 3, 1, *SIZE), value)
    with pytest.raises(ValueError, match=rf"^image: {image.numel()} of its {image.numel()} values are NaN or infinite"):
        next(iter(stream(model(), image)))


def test_weights_that_make_no_numbers_end_the_stream_at_that_chunk() -> None:
    loaded = model()
    chunks = stream(loaded, torch.rand(1, 3, 1, *SIZE), 7)
    assert next(iter(chunks)).chunk.index == 0
    for parameter in loaded.model.parameters():
        parameter.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"^chunk 1: the model's latents are NaN or infinite"):
        next(iter(chunks))


def test_each_chunk_waits_for_the_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder has its work by then."""
    done: list[str] = []
    push, check = TinyStreamingDecoder.push, streaming.require_finite_latents

    def pushed(decoder: TinyStreamingDecoder, latents: torch.Tensor) -> torch.Tensor:
        done.append("decode")
        return push(decoder, latents)

    def asked(finite: torch.Tensor, where: str) -> None:
        assert finite.ndim == 0
        done.append(where)
        check(finite, where)

    monkeypatch.setattr(TinyStreamingDecoder, "push", pushed)
    monkeypatch.setattr(streaming, "require_finite_latents", asked)
    assert len(list(stream(model(), torch.rand(1, 3, 1, *SIZE), 7))) == 3
    assert done == ["decode", "chunk 0", "decode", "chunk 1", "decode", "chunk 2"]
