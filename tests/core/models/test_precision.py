"""Half precision: which devices are given it, and what it does to a video."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from motionstream_core.checkpoints import load_tiny_vae
from motionstream_core.demo.weights import STUDENT, TINY_VAE
from motionstream_core.models.precision import cpu_is_fast_in_bf16
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.render.renderer import open_renderer

CPU = torch.device("cpu")
ASKED = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


@pytest.fixture
def cpu_has(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bool]]:
    """What the CPU says that it has."""
    has: dict[str, bool] = dict.fromkeys(ASKED, False)
    for name in ASKED:
        monkeypatch.setattr(torch.cpu, name, lambda name=name: has[name])
    cpu_is_fast_in_bf16.cache_clear()
    yield has
    cpu_is_fast_in_bf16.cache_clear()


@pytest.mark.parametrize("having", [(), ASKED[:1], ASKED[1:], ASKED])
def test_a_cpu_that_multiplies_bf16_is_given_it(cpu_has: dict[str, bool], having: tuple[str, ...]) -> None:
    cpu_has |= dict.fromkeys(having, True)
    assert cpu_is_fast_in_bf16() == bool(having)
    renderer = open_renderer(STUDENT)
    wanted = torch.bfloat16 if having else torch.float32
    assert renderer.loaded.model.placement == (CPU, wanted)
    assert next(renderer.decoder.decoder.parameters()).dtype == wanted  # type: ignore[union-attr]
    assert renderer.encoder.dtype == torch.float32
    exact = open_renderer(STUDENT, dtype=torch.float32)
    assert {each.dtype for each in exact.decoder.parameters()} == {torch.float32}


def test_a_cpu_that_cannot_tell_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ASKED:
        monkeypatch.delattr(torch.cpu, name)
    cpu_is_fast_in_bf16.cache_clear()
    assert not cpu_is_fast_in_bf16()


@torch.inference_mode()
def test_a_decoder_in_bf16_is_a_level_off_at_most() -> None:
    """On the mean by far less; the image is encoded to the very same latents."""
    exact, half = load_tiny_vae(TINY_VAE), load_tiny_vae(TINY_VAE).decode_in(torch.bfloat16)
    height, width = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    wave = torch.stack([height, width, (height * 9).sin() / 2 + 0.5])[None, :, None].expand(-1, -1, 9, -1, -1)
    latents = exact.encode(wave)
    assert torch.equal(half.encode(wave), latents)
    whole = exact.decode(latents)[0].permute(1, 2, 3, 0)
    decoder = TinyStreamingDecoder(half)
    frames = torch.cat([decoder.push(piece) for piece in latents.split(1, dim=2)])
    assert frames.dtype == torch.float32 and frames.std() > 0.1
    error = (frames - whole).abs()
    assert error.mean() < 0.5 / 255 and error.quantile(0.999) < 3 / 255
