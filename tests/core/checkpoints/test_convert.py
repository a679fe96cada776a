"""Every layout into every other and back, bit for bit, by the command; what it says of a file."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from motionstream_core.checkpoints import load_model, read_checkpoint, save_model, save_tiny_vae
from motionstream_core.checkpoints.__main__ import main
from motionstream_core.checkpoints.convert import Layout
from motionstream_core.checkpoints.detect import model_shapes
from motionstream_core.checkpoints.families import BY_KEY
from motionstream_core.checkpoints.load import build_model
from motionstream_core.checkpoints.spec import ModelSpec
from motionstream_core.models.conditioning import InputLayout
from motionstream_core.models.track_head import TrackHeadConfig
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.models.wan import WanConfig

OWN = ModelSpec(
    role="student",
    backbone=WanConfig(
        dim=24, ffn_dim=32, num_heads=2, num_layers=1, in_channels=20, freq_dim=8, text_dim=6, text_len=4
    ),
    layout=InputLayout((("noise", 16), ("track", 4))),
    track_head=TrackHeadConfig(id_dim=8, out_channels=4),
    vocabulary=("a", "ball"),
)


def foreign(path: Path, mixed: bool) -> dict[str, Tensor]:
    """Self-Forcing's torch file; `mixed` with fp8 weights beside fp32 norms, and a scale."""
    spec = BY_KEY["self_forcing"].spec
    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in build_model(narrowed(spec)).state_dict().items()}
    weights = {name: torch.randn(shape) for name, shape in shapes.items()}
    if mixed:
        weights["blocks.0.ffn.0.weight"] = weights["blocks.0.ffn.0.weight"].to(torch.float8_e4m3fn)
        weights["blocks.0.ffn.0.scale_weight"] = torch.tensor(0.3)
        weights["head.head.weight"] = weights["head.head.weight"].bfloat16()
        weights["blocks.0.cross_attn.norm_q_img.weight"] = torch.ones(3)  # in published files, read by no code
    torch.save({"generator_ema": {f"model.{name}": value for name, value in weights.items()}}, path)
    return weights


def narrowed(spec: ModelSpec) -> ModelSpec:
    return replace(spec, backbone=replace(spec.backbone, dim=128, num_heads=1, ffn_dim=24, num_layers=2, text_dim=6))


def bits(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.dtype, bytes]]:
    return {
        name: (value.dtype, value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        for name, value in tensors.items()
    }


@pytest.mark.parametrize("layout", get_args(Layout))
def test_there_and_back_bit_for_bit(tmp_path: Path, layout: str) -> None:
    weights = foreign(tmp_path / "a.pt", True)
    there, back = tmp_path / ("there" if layout == "diffusers" else "there.safetensors"), tmp_path / "back.safetensors"
    assert main(["convert", str(tmp_path / "a.pt"), str(there), "--to", layout]) == 0
    assert main(["convert", str(there), str(back), "--to", "original"]) == 0
    assert bits(load_file(back)) == bits(weights)
    assert read_checkpoint(back).spec == read_checkpoint(there).spec == narrowed(BY_KEY["self_forcing"].spec)


def test_each_layout_is_what_others_read(tmp_path: Path) -> None:
    foreign(tmp_path / "a.pt", False)
    for layout in ("comfyui", "diffusers"):
        assert main(["convert", str(tmp_path / "a.pt"), str(tmp_path / layout), "--to", layout]) == 0
    with safe_open(tmp_path / "comfyui", "pt") as file:  # as comfy/model_detection.py reads it
        assert json.loads(file.metadata()["config"]) == {"transformer": {"causal_ar": True}}
        assert all(name.startswith("model.diffusion_model.") for name in file.keys())  # noqa: SIM118
    config = json.loads((tmp_path / "diffusers" / "config.json").read_text())
    assert config["_class_name"] == "CausalWanTransformer3DModel"
    transformer_wan = pytest.importorskip("diffusers.models.transformers.transformer_wan", reason="the reference")
    theirs = transformer_wan.WanTransformer3DModel.from_config(config)
    theirs.load_state_dict(load_file(tmp_path / "diffusers" / "diffusion_pytorch_model.safetensors"), strict=True)


@pytest.mark.parametrize("layout", get_args(Layout))
def test_our_own_model_goes_everywhere(tmp_path: Path, layout: str) -> None:
    """A packed track head and a word encoder, which no other code knows, and the whole spec."""
    torch.manual_seed(0)
    model = build_model(OWN)
    save_model(tmp_path / "own.safetensors", model, OWN)
    assert main(["convert", str(tmp_path / "own.safetensors"), str(tmp_path / "there"), "--to", layout]) == 0
    loaded = load_model(tmp_path / "there")
    assert loaded.spec == OWN and bits(loaded.model.state_dict()) == bits(model.state_dict())


def test_vaes_and_what_they_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    autoencoder = pytest.importorskip("diffusers.models.autoencoders.autoencoder_kl_wan").AutoencoderKLWan
    vae: nn.Module = autoencoder(base_dim=4)
    vae.save_pretrained(tmp_path / "model" / "vae")  # type: ignore[operator]
    for source, target, layout in (("model", "a.safetensors", "original"), ("a.safetensors", "b", "diffusers")):
        assert main(["convert", str(tmp_path / source), str(tmp_path / target), "--to", layout]) == 0
    assert bits(load_file(tmp_path / "b" / "diffusion_pytorch_model.safetensors")) == bits(vae.state_dict())
    again = autoencoder.from_pretrained(tmp_path / "b")
    assert again.config["latents_mean"] == vae.config["latents_mean"]  # type: ignore[index]
    torch.save({name: value.half() for name, value in TinyVae().state_dict().items()}, tmp_path / "tiny.pth")
    assert (
        main(["convert", str(tmp_path / "tiny.pth"), str(tmp_path / "tiny.safetensors"), "--to", "motionstream"]) == 0
    )
    assert bits(load_file(tmp_path / "tiny.safetensors")) == bits(torch.load(tmp_path / "tiny.pth"))
    capsys.readouterr()
    for source, layout, reason in (
        ("a.safetensors", "motionstream", "a full VAE has no layout 'motionstream'"),
        ("tiny.pth", "diffusers", "a tiny VAE has no layout 'diffusers'"),
    ):
        assert main(["convert", str(tmp_path / source), str(tmp_path / "new"), "--to", layout]) == 2
        assert reason in capsys.readouterr().err
        assert not (tmp_path / "new").exists()
    assert main(["convert", str(tmp_path / "tiny.pth"), str(tmp_path / "b"), "--to", "original"]) == 2
    assert "b is there already" in capsys.readouterr().err


def write_scaled(path: Path) -> None:
    foreign(path, True)


def write_tiny(path: Path) -> None:
    save_tiny_vae(path, TinyVae(), torch.float16)


def write_own(path: Path) -> None:
    save_model(path, build_model(OWN), OWN)


def write_bare(path: Path) -> None:
    model = build_model(narrowed(BY_KEY["wan21_t2v"].spec))
    save_file({f"model.diffusion_model.{name}": value for name, value in model.state_dict().items()}, str(path))


@pytest.mark.parametrize(
    ("write", "suffix", "said"),
    [
        (
            write_scaled,
            "pt",
            [
                "with scales",
                "taken from its entry 'generator_ema'",
                "names: original, behind 'model.'",
                "model: Self-Forcing (dim 128, 2 layers)",
                "role: student (from what is written beside the weights)",
                "tracks: none; it cannot follow trajectories",
                "sink 3, window 15, rope by_slot",
                "steps: 1000, 750, 500, 250, shift 5",
            ],
        ),
        (
            write_tiny,
            "safetensors",
            ["float16", "tiny VAE: MotionStream tiny VAE (by its metadata), 16 latent channels"],
        ),
        (write_own, "safetensors", ["model: MotionStream checkpoint", "tracks: head 'packed', coordinates 'floor'"]),
        (write_bare, "safetensors", ["role: teacher (from the caller, or plain Wan by default)", "guidance: text 5"]),
    ],
    ids=["self-forcing, scaled", "tiny", "own", "bare"],
)
def test_inspect_says_what_a_file_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write: Callable[[Path], None], suffix: str, said: list[str]
) -> None:
    path = tmp_path / f"file.{suffix}"
    write(path)
    assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    assert [line for line in said if line not in text] == []


def test_inspect_fails_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "nothing.safetensors")]) == 2
    assert "no weights at" in capsys.readouterr().err
    save_file({"lora_A": torch.zeros(1)}, str(tmp_path / "lora.safetensors"))
    assert main(["inspect", str(tmp_path / "lora.safetensors")]) == 2
    assert "these are no weights of a Wan transformer" in capsys.readouterr().err


def test_a_file_of_any_size_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wan 2.1 I2V 14B at full size, 33 GB, as a file of holes: nothing but its header is there."""
    spec = BY_KEY["wan21_i2v"].spec
    large = replace(spec.backbone, dim=5120, ffn_dim=13824, num_heads=40, num_layers=40)
    header, end = {}, 0
    for name, shape in model_shapes(replace(spec, backbone=large)).items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    assert main(["inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert "1303 tensors, 32.79 GB, bfloat16" in said and "model: Wan 2.1 I2V or Fun-InP 14B" in said
