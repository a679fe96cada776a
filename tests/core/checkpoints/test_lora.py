"""LoRAs under every naming, merged: against W + strength * alpha / rank * B A, reckoned here by itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from motionstream_core.checkpoints.__main__ import main
from motionstream_core.checkpoints.key_maps import diffusers_name
from motionstream_core.checkpoints.lora import matched, merged
from tests.core.checkpoints.test_load import narrow, weights_of
from tests.data.lora_namings import NAMINGS, RANK, lora_of

SPEC = narrow("wan21_i2v")


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return weights_of(SPEC)


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("alpha", [True, False], ids=["alpha", "no alpha"])
def test_every_naming_changes_every_weight_it_means(weights: dict[str, Tensor], naming: str, alpha: bool) -> None:
    file, change = lora_of(weights, naming, diffusers_name, alpha)
    lora = matched(file, weights)
    assert not lora.unmatched
    found = merged(weights, lora, 0.7)
    assert found.keys() == weights.keys() and len(change) == 2 * 12 + 1
    for name, value in weights.items():
        expected = value + 0.7 * change[name] if name in change else value
        assert torch.allclose(found[name], expected, atol=1e-5), name
        assert name in change or found[name] is value


def test_differences_are_added_whole(weights: dict[str, Tensor]) -> None:
    shift = {
        "diffusion_model.blocks.0.self_attn.norm_q.diff": torch.full((128,), 0.5),
        "diffusion_model.blocks.1.ffn.0.diff_b": torch.full((40,), 0.25),
        "diffusion_model.blocks.1.modulation.diff": torch.ones(1, 6, 128),
    }
    found = merged(weights, matched(shift, weights), 2.0)
    for name, added in (("0.self_attn.norm_q.weight", 1.0), ("1.ffn.0.bias", 0.5), ("1.modulation", 2.0)):
        assert torch.equal(found[f"blocks.{name}"], weights[f"blocks.{name}"] + added)


def test_dtypes_stay_but_for_fp8(weights: dict[str, Tensor]) -> None:
    kinds = {"q": torch.float16, "k": torch.bfloat16, "v": torch.float8_e4m3fn}
    stored = dict(weights)
    for letter, dtype in kinds.items():
        stored[f"blocks.0.self_attn.{letter}.weight"] = weights[f"blocks.0.self_attn.{letter}.weight"].to(dtype)
    file, change = lora_of(weights, "diffusion-pipe", diffusers_name)
    found = merged(stored, matched(file, stored))
    for letter, dtype in {**kinds, "v": torch.bfloat16}.items():
        name = f"blocks.0.self_attn.{letter}.weight"
        assert torch.equal(found[name], (stored[name].float() + change[name]).to(dtype))


def test_what_the_dtype_cannot_hold_is_refused(weights: dict[str, Tensor]) -> None:
    stored = {name: value.half() for name, value in weights.items()}
    lora = matched(lora_of(stored, "PEFT", diffusers_name)[0], stored)
    with pytest.raises(
        ValueError, match=r"merged at strength 60000, .* has numbers beyond torch.float16; lower the strength"
    ):
        merged(stored, lora, 60000.0)


@pytest.mark.parametrize("layout", ["original", "comfyui", "diffusers"])
def test_convert_merges_a_training_scripts_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], weights: dict[str, Tensor], layout: str
) -> None:
    """LongLive's lora.pt over a base, and what of it has no place is said."""
    file, change = lora_of(weights, "PEFT, wrapped", diffusers_name, alpha=False)
    file["base_model.model.blocks.7.ffn.0.lora_A.weight"] = torch.ones(1, 2)
    torch.save({"generator_lora": file, "critic_lora": {}}, tmp_path / "lora.pt")
    save_file(weights, str(tmp_path / "base.safetensors"))
    there = tmp_path / "there"
    command = ["convert", str(tmp_path / "base.safetensors"), str(there), "--to", layout]
    assert main([*command, "--merge-lora", str(tmp_path / "lora.pt"), "--strength", "0.5"]) == 0
    said = capsys.readouterr().out
    assert "changes 25 modules; 1 of its tensors belong to none: base_model.model.blocks.7" in said
    found = load_file(there / "diffusion_pytorch_model.safetensors" if layout == "diffusers" else there)
    for name, value in weights.items():
        key = {"original": name, "comfyui": f"model.diffusion_model.{name}", "diffusers": diffusers_name(name)}[layout]
        assert torch.allclose(found[key], value + 0.5 * change[name] if name in change else value, atol=1e-5), name


def half(file: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in file.items() if not name.endswith("blocks.0.ffn.0.lora_A.weight")}


def another_shape(file: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**file, "diffusion_model.blocks.0.ffn.0.lora_A.weight": torch.ones(RANK, 5120)}


def another_model(file: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("blocks.", "double_blocks."): value for name, value in file.items() if "blocks." in name}


def alpha_alone(_: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"diffusion_model.blocks.0.ffn.0.alpha": torch.ones(())}


def rank_of_nought(_: dict[str, Tensor]) -> dict[str, Tensor]:
    module = "diffusion_model.blocks.0.ffn.0"
    return {f"{module}.lora_A.weight": torch.ones(0, 128), f"{module}.lora_B.weight": torch.ones(40, 0)}


def not_a_number(file: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value * torch.nan for name, value in file.items()}


def two_alphas(file: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**file, "diffusion_model.blocks.0.ffn.0.alpha": torch.ones(2)}


def lycoris(file: dict[str, Tensor]) -> dict[str, Tensor]:
    parts = {f"diffusion_model.blocks.0.ffn.0.hada_{part}": torch.ones(2, 2) for part in ("w1_a", "w1_b")}
    return {**file, **parts}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (half, "blocks.0.ffn.0 has lora_B.weight, and not the other half"),
        (another_shape, r"make no change of the model's \(40, 128\): it is for another model"),
        (another_model, "changes nothing of the model: it is for another one. Its first names are diffusion_model"),
        (alpha_alone, "blocks.0.ffn.0 has an alpha, and no pair"),
        (rank_of_nought, r"make no change of the model's \(40, 128\)"),
        (not_a_number, "are NaN or infinite"),
        (two_alphas, r"blocks.0.ffn.0.alpha is \(2,\); it must be one number"),
        (lycoris, "blocks.0.ffn.0.hada_w1_a is of a kind that is not merged"),
        (
            lambda _: {"blocks.0.ffn.0.weight": torch.ones(40, 128), "text_embedding.0.weight": torch.ones(1)},
            "this is a transformer, not a LoRA",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, weights: dict[str, Tensor], changed: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = changed(lora_of(weights, "diffusion-pipe", diffusers_name)[0])
    save_file({name: value.contiguous() for name, value in file.items()}, str(tmp_path / "lora.safetensors"))
    save_file(weights, str(tmp_path / "base.safetensors"))
    command = ["convert", str(tmp_path / "base.safetensors"), str(tmp_path / "new"), "--to", "original"]
    assert main([*command, "--merge-lora", str(tmp_path / "lora.safetensors")]) == 2
    assert re.search(rf"lora\.safetensors: .*{message}", capsys.readouterr().err) and not (tmp_path / "new").exists()
