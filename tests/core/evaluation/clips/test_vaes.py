"""VAEs side by side: figures of decoders whose answers are known, sizes by their own count, and the command."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from motionstream_core.__main__ import main
from motionstream_core.checkpoints import save_tiny_vae
from motionstream_core.evaluation.clips.vaes import vae_figures
from motionstream_core.evaluation.command import export_clips
from motionstream_core.models.vae.tiny_vae import TinyVae, TinyVaeConfig
from tests.core.wan_folder import save_vae

CPU = torch.device("cpu")
NARROW = TinyVaeConfig(latent_channels=16, decoder_widths=(8, 8, 8, 8), encoder_width=8)
CLIP = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), np.uint8)


class Grey(TinyVae):
    """Decodes everything to grey of a level."""

    level = 128 / 255

    def decode_stream(self, latents: Tensor, memory: object, clamp: bool = True) -> Tensor:
        frames = super().decode_stream(latents, memory, clamp)  # type: ignore[arg-type]
        return torch.full_like(frames, self.level)


def test_figures_are_those_of_what_was_decoded() -> None:
    """Of all frames, the first among them; clips weigh the same."""
    flat, bright = (np.full((5, 16, 16, 3), value, np.uint8) for value in (118, 108))
    figures = vae_figures(TinyVae(NARROW), Grey(NARROW), [flat, bright], CPU)
    assert figures.psnr_db == pytest.approx(np.mean([10 * np.log10(255**2 / off**2) for off in (10, 20)]))
    assert figures.lpips is None and 0 < figures.ssim < 1
    assert figures.encoded > 0 and figures.decoded > 0


def test_sizes_are_of_the_halves_that_are_used() -> None:
    wide = TinyVae(TinyVaeConfig(latent_channels=16, decoder_widths=(16, 8, 8, 8), encoder_width=8))
    encoder = TinyVae(NARROW)
    figures = vae_figures(encoder, wide, [CLIP], CPU)
    assert figures.encoder_millions * 1e6 == pytest.approx(sum(p.numel() for p in encoder.encoder.parameters()))
    assert figures.decoder_millions * 1e6 == pytest.approx(sum(p.numel() for p in wide.decoder.parameters()))
    # its widest features are twice as many at a cell of 8 px, and as many at a pixel
    assert figures.memory_mib >= 8 * 9 * 32 * 32 * 4 / 2**20


def test_what_does_not_go_together_is_named() -> None:
    other = TinyVae(TinyVaeConfig(latent_channels=4, decoder_widths=(8, 8, 8, 8), encoder_width=8))
    with pytest.raises(ValueError, match="latent channels are 16 and 4"):
        vae_figures(TinyVae(NARROW), other, [CLIP], CPU)
    with pytest.raises(ValueError, match="no clips"):
        vae_figures(TinyVae(NARROW), TinyVae(NARROW), [], CPU)


def test_the_command_compares_a_full_vae_and_a_tiny_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Random weights: the figures mean nothing, but each row is of its own VAE, on the full one's latents."""
    export_clips(tmp_path / "clips", 2, 11)
    save_vae(tmp_path, z_dim=16)
    save_tiny_vae(tmp_path / "tiny.safetensors", TinyVae(NARROW))
    given = ["vaes", str(tmp_path / "clips"), "--vae", str(tmp_path / "vae"), str(tmp_path / "tiny.safetensors")]
    given += ["--encoder", str(tmp_path / "vae"), "--size", "64x48", "--lpips", "off", "--device", "cpu"]
    assert main([*given, "--csv", str(tmp_path / "out" / "vaes.csv")]) == 0
    with open(tmp_path / "out" / "vaes.csv", newline="", encoding="utf-8") as file:
        full, tiny = csv.DictReader(file)
    assert full["encoder_millions"] == tiny["encoder_millions"]
    assert float(full["decoder_millions"]) != float(tiny["decoder_millions"])
    assert full["psnr_db"] != tiny["psnr_db"] and full["lpips"] == ""
    said = capsys.readouterr().out
    assert "| PSNR, dB | SSIM |" in said and "LPIPS was left out" in said and str(tmp_path / "tiny.safetensors") in said
