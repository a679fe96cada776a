"""The full Wan VAE: what the adapter gives equals what diffusers gives, stream or whole, for 2.1 and 2.2."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from motionstream_core.models.vae.wan_vae import WanVae

pytest.importorskip("diffusers", reason="the full VAE needs diffusers")

from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

COMMON = {
    "base_dim": 8,
    "z_dim": 4,
    "num_res_blocks": 1,
    "latents_mean": [0.2, -0.4, 0.1, 0.9],
    "latents_std": [2.0, 1.5, 3.0, 0.7],
}
CONFIGS = {
    "wan2.1": COMMON,
    "wan2.2": COMMON
    | {
        "is_residual": True,
        "patch_size": 2,
        "in_channels": 12,
        "out_channels": 12,
        "decoder_base_dim": 12,
        "scale_factor_spatial": 16,
    },
}


def build(name: str) -> AutoencoderKLWan:
    """Random weights small enough that frames stay inside [-1, 1], where no clamp hides a difference."""
    torch.manual_seed(0)
    vae = AutoencoderKLWan(**CONFIGS[name]).eval().requires_grad_(False)
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(0.5)
    return vae


def whole_decode(vae: AutoencoderKLWan, latents: Tensor) -> Tensor:
    """diffusers' own decode of normalised latents, frames in [0, 1]."""
    mean = torch.tensor(vae.config["latents_mean"]).view(1, -1, 1, 1, 1)
    std = torch.tensor(vae.config["latents_std"]).view(1, -1, 1, 1, 1)
    return vae.decode(latents * std + mean, return_dict=False)[0] / 2 + 0.5


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("sizes", [[5], [1, 1, 1, 1, 1], [3, 2], [1, 3, 1]], ids=str)
@torch.no_grad()
def test_stream_equals_the_whole_decode_of_diffusers(name: str, sizes: list[int]) -> None:
    vae = build(name)
    wan = WanVae(vae)
    latents = torch.randn(2, 4, 5, 3, 4)
    memory = wan.new_memory()
    chunks = [wan.decode_stream(chunk, memory) for chunk in latents.split(sizes, dim=2)]
    expected = whole_decode(vae, latents)
    assert expected.shape == (2, 3, 17, 3 * wan.stride.space, 4 * wan.stride.space)
    assert expected.std() > 1e-3 and expected.min() > 0 and expected.max() < 1
    assert [chunk.shape[2] for chunk in chunks] == [4 * sizes[0] - 3] + [4 * size for size in sizes[1:]]
    torch.testing.assert_close(torch.cat(chunks, dim=2), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(wan.decode(latents), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_encode_is_the_normalised_posterior_mean(name: str) -> None:
    vae = build(name)
    wan = WanVae(vae)
    frames = torch.rand(2, 3, 9, 2 * wan.stride.space, 3 * wan.stride.space)
    latents = wan.encode(frames)
    assert latents.shape == (2, 4, 3, 2, 3)
    mean = torch.tensor(vae.config["latents_mean"]).view(1, -1, 1, 1, 1)
    std = torch.tensor(vae.config["latents_std"]).view(1, -1, 1, 1, 1)
    mu = vae.encode(frames * 2 - 1, return_dict=False)[0].mode()
    torch.testing.assert_close(latents * std + mean, mu, rtol=0, atol=1e-5)
    torch.testing.assert_close(wan.encode(frames[:, :, :1]), latents[:, :, :1], rtol=0, atol=1e-5)


@torch.no_grad()
def test_an_encode_or_another_decode_between_two_chunks_leaves_the_stream_alone() -> None:
    wan = WanVae(build("wan2.1"))
    latents = torch.randn(1, 4, 3, 2, 2)
    memory = wan.new_memory()
    first = wan.decode_stream(latents[:, :, :1], memory)
    wan.encode(torch.rand(1, 3, 5, 16, 16))
    wan.vae.decode(torch.randn(1, 4, 2, 2, 2))
    wan.decode(torch.randn(1, 4, 2, 3, 3))
    rest = wan.decode_stream(latents[:, :, 1:], memory)
    torch.testing.assert_close(torch.cat([first, rest], dim=2), wan.decode(latents), rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_memory_does_not_grow() -> None:
    wan = WanVae(build("wan2.2"))
    memory = wan.new_memory()
    held = []
    for _ in range(5):
        wan.decode_stream(torch.randn(1, 4, 1, 2, 2), memory)
        tensors = [feature for feature in memory.features if isinstance(feature, Tensor)]
        held.append(sum(tensor.untyped_storage().nbytes() for tensor in tensors))
    assert held[2] == held[3] == held[4] > 0


@torch.no_grad()
def test_half_precision_keeps_the_statistics_exact() -> None:
    wan = WanVae(build("wan2.1")).to(torch.bfloat16)
    latents = wan.encode(torch.rand(1, 3, 1, 16, 16))
    assert latents.dtype == torch.float32
    assert wan.decode(latents).dtype == torch.bfloat16
    mean, std = wan._statistics(torch.device("cpu"))
    assert mean.flatten().tolist() == torch.tensor(COMMON["latents_mean"]).tolist()
    assert std.flatten().tolist() == torch.tensor(COMMON["latents_std"]).tolist()


def test_strides_and_channels_come_from_the_configuration() -> None:
    wan21, wan22 = WanVae(build("wan2.1")), WanVae(build("wan2.2"))
    assert (wan21.num_channels, wan21.stride.time, wan21.stride.space) == (4, 4, 8)
    assert (wan22.num_channels, wan22.stride.time, wan22.stride.space) == (4, 4, 16)


def test_statistics_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="latents_mean holds 16 values for 4"):
        WanVae(AutoencoderKLWan(base_dim=8, z_dim=4, num_res_blocks=1))


def test_encode_refuses_lengths_that_diffusers_would_cut() -> None:
    with pytest.raises(ValueError, match="1 \\+ 4"):
        WanVae(build("wan2.1")).encode(torch.rand(1, 3, 7, 16, 16))
    with pytest.raises(ValueError, match="multiples of 16 px"):
        WanVae(build("wan2.2")).encode(torch.rand(1, 3, 5, 24, 16))


@torch.no_grad()
def test_from_pretrained_reads_a_local_folder(tmp_path: Path) -> None:
    vae = build("wan2.1")
    vae.save_pretrained(tmp_path)
    latents = torch.randn(1, 4, 2, 2, 2)
    torch.testing.assert_close(WanVae.from_pretrained(tmp_path).decode(latents), WanVae(vae).decode(latents))


def test_without_diffusers_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == "diffusers"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ImportError, match="pip install diffusers"):
        WanVae.from_pretrained(tmp_path)
