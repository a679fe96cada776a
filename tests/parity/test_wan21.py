"""Our transformer and the VAE that we load against Wan-Video/Wan2.1's own code, WAN21_PATH.

Replaced from this side: flash attention, by torch's in fp32.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from motionstream_core.checkpoints import load_model, load_vae
from tests.parity.references import attention, checkout, error, importable, randomise, report

SIZES = {"dim": 256, "ffn_dim": 96, "num_heads": 2, "num_layers": 2, "freq_dim": 32, "text_dim": 24}


@pytest.fixture(scope="module")
def modules() -> Iterator[Any]:
    root = checkout("WAN21_PATH", "Wan-Video/Wan2.1")
    with importable(root, ("wan", "wan.modules")), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.cuda.amp
        from wan.modules import model, vae  # pyright: ignore[reportMissingImports]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model, "flash_attention", attention)
            yield model, vae


@pytest.mark.parametrize("kind", ["t2v", "i2v"])
@torch.no_grad()
def test_the_transformer_from_a_file_of_its_own(modules: Any, kind: str, tmp_path: Path) -> None:
    channels = 16 if kind == "t2v" else 36
    theirs = modules[0].WanModel(model_type=kind, in_dim=channels, **SIZES).eval()
    randomise(theirs, 0.1)
    torch.save(theirs.state_dict(), tmp_path / "wan.pth")
    ours = load_model(tmp_path / "wan.pth").model
    latents, text = torch.randn(16, 3, 8, 12), torch.randn(9, 24)
    beside = torch.randn(20, 3, 8, 12) if kind == "i2v" else None
    image = torch.randn(1, 257, 1280) if kind == "i2v" else None
    given = {} if beside is None else {"clip_fea": image, "y": [beside]}
    expected = theirs([latents], torch.tensor([731.0]), [text], seq_len=72, **given)[0]
    inputs = latents if beside is None else torch.cat([latents, beside])
    found = ours(inputs[None], torch.tensor([731.0]), ours.prepare_context(text[None], image))[0]
    report(f"Wan 2.1, transformer {kind}", error(found, expected))


@torch.no_grad()
def test_the_vae_from_a_file_of_its_own(modules: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = modules[1].WanVAE_(dim=8, z_dim=16, temperal_downsample=[False, True, True], dropout=0.0).eval()
    torch.save(theirs.state_dict(), tmp_path / "Wan2.1_VAE.pth")
    ours = load_vae(tmp_path / "Wan2.1_VAE.pth")
    mean, std = (numbers.flatten() for numbers in ours._statistics(torch.device("cpu")))
    scale = [mean, 1 / std]
    latents = torch.randn(1, 16, 5, 4, 6)
    expected = theirs.decode(latents, scale)
    report("Wan 2.1, VAE decode", error(ours.decode(latents, clamp=False) * 2 - 1, expected))
    memory = ours.new_memory()
    streamed = torch.cat([ours.decode_stream(chunk, memory, clamp=False) for chunk in latents.split((1, 3, 1), 2)], 2)
    report("Wan 2.1, VAE decode streamed", error(streamed * 2 - 1, expected))
    frames = torch.rand(1, 3, 9, 32, 48)
    report("Wan 2.1, VAE encode", error(ours.encode(frames), theirs.encode(frames * 2 - 1, scale)))
