"""Encoders that lie beside the transformer in a checkpoint: against transformers' own models with the same weights."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

from motionstream_core.checkpoints.encoder_weights import (
    inner_image_encoder,
    inner_text_encoder,
    inner_tokenizer,
    parts_inside,
)
from motionstream_core.models.encoders import MAX_TEXT_TOKENS, TextEncoder

CPU = torch.device("cpu")
WORDS = ["cat", "dog", "runs", "sits", "red"]
PREFIX = "text_encoders.umt5xxl.transformer."
BESIDE = {
    "model.diffusion_model.text_embedding.0.weight": torch.zeros(2, 2),
    "text_encoders.umt5xxl.logit_scale": torch.ones(()),
}


@pytest.fixture(scope="module")
def umt5() -> Any:
    torch.manual_seed(0)
    config = transformers.UMT5Config(vocab_size=16, d_model=24, d_kv=8, d_ff=40, num_layers=3, num_heads=2)
    model = transformers.UMT5EncoderModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(scope="module")
def pieces() -> tuple[Tensor, Callable[[str], list[int]]]:
    """A small tokenizer whose pieces are words, and what its table says of a text."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="a tokenizer inside a checkpoint needs sentencepiece")
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter([" ".join(WORDS)] * 9),
        model_writer=made,
        model_type="word",
        vocab_size=3 + len(WORDS),
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    table = sentencepiece.SentencePieceProcessor(model_proto=made.getvalue())
    ids = {table.id_to_piece(number).lstrip("▁"): number for number in range(table.get_piece_size())}
    return torch.frombuffer(bytearray(made.getvalue()), dtype=torch.uint8), lambda text: [
        *(ids.get(word, 2) for word in text.split()),
        1,
    ]


def wan_name(name: str) -> str:
    """What Wan's own text encoder calls a weight of Hugging Face's."""
    name = name.replace("shared.", "token_embedding.").replace("encoder.final_layer_norm.", "norm.")
    name = re.sub(r"encoder\.block\.(\d+)\.", r"blocks.\1.", name)
    name = name.replace("layer.0.SelfAttention.relative_attention_bias.", "pos_embedding.embedding.")
    name = name.replace("layer.0.SelfAttention.", "attn.").replace("layer.0.layer_norm", "norm1")
    name = name.replace("layer.1.layer_norm", "norm2").replace("layer.1.DenseReluDense.wi_0", "ffn.gate.0")
    return name.replace("layer.1.DenseReluDense.wi_1", "ffn.fc1").replace("layer.1.DenseReluDense.wo", "ffn.fc2")


def untied(model: Any) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items() if "embed_tokens" not in name}


def save(path: Path, tensors: dict[str, Tensor]) -> Path:
    save_file({name: value.contiguous() for name, value in (BESIDE | tensors).items()}, str(path))
    return path


@pytest.mark.parametrize(
    "prefix", [PREFIX, "text_encoders.umt5xxl.", "cond_stage_model.t5.transformer.", "text_encoders."]
)
@pytest.mark.parametrize("naming", ["Hugging Face", "tied", "Wan"])
@torch.no_grad()
def test_the_text_encoder_is_that_of_transformers(
    tmp_path: Path, umt5: Any, pieces: tuple[Tensor, Callable[[str], list[int]]], prefix: str, naming: str
) -> None:
    weights = untied(umt5)
    if naming == "tied":
        weights["encoder.embed_tokens.weight"] = weights.pop("shared.weight")
    named = {prefix + (wan_name(name) if naming == "Wan" else name): value for name, value in weights.items()}
    path = save(tmp_path / "all.safetensors", named | {"text_encoders.spiece_model": pieces[0]})
    assert parts_inside(path) == {"text_encoder", "tokenizer"}
    encoder = TextEncoder(inner_tokenizer(path), inner_text_encoder(path, torch.float32))
    captions = ["cat runs", "  a red\n dog ", ""]
    for caption, made in zip(captions, encoder.encode(captions, CPU), strict=True):
        expected = umt5(torch.tensor([pieces[1](caption)])).last_hidden_state[0]
        assert made.shape == expected.shape and made.std() > 0
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)
    (cut,) = encoder.encode(["cat " * 600], CPU)
    assert cut.shape == (MAX_TEXT_TOKENS, 24)
    assert encoder.tokenizer("cat " * 600)[-1] == 1


@pytest.mark.parametrize("spelling", ["scale_weight", "weight_scale", "plain"])
@torch.no_grad()
def test_a_text_encoder_in_fp8(tmp_path: Path, umt5: Any, spelling: str) -> None:
    stored, expected = {}, {}
    for name, weight in untied(umt5).items():
        is_scaled = spelling != "plain" and "SelfAttention.q" in name
        scale = weight.abs().max() / 400 if is_scaled else torch.tensor(1.0)
        stored[PREFIX + name] = (weight / scale).to(torch.float8_e4m3fn)
        expected[name] = (stored[PREFIX + name].float() * scale).to(torch.bfloat16)
        if is_scaled:
            stored[PREFIX + name.removesuffix("weight") + spelling] = scale
    if spelling == "scale_weight":
        stored[f"{PREFIX}scaled_fp8"] = torch.empty(2, dtype=torch.float8_e4m3fn)
    made = inner_text_encoder(save(tmp_path / "all.safetensors", stored), torch.bfloat16).state_dict()
    assert made["shared.weight"].dtype == torch.bfloat16
    assert all(torch.equal(made[name], value) for name, value in expected.items())
    assert torch.equal(made["encoder.embed_tokens.weight"], expected["shared.weight"])


@torch.no_grad()
def test_the_image_encoder_is_that_of_transformers(tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = transformers.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=24,
        num_hidden_layers=3,
        num_attention_heads=16,
        image_size=28,
        patch_size=14,
        hidden_act="gelu",
    )
    model = transformers.CLIPVisionModel(config).eval()
    names = {name: f"vision_model.{name.removeprefix('vision_model.')}" for name in model.state_dict()}
    weights = {names[name]: value for name, value in model.state_dict().items()}
    pictures = torch.rand(2, 3, 40, 50)
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    pixels = processor(list((pictures * 255 + 0.5).to(torch.uint8)), return_tensors="pt").pixel_values
    expected = model(pixels, output_hidden_states=True).hidden_states[-2]
    for prefix in ("clip_vision.", ""):
        beside = {f"{prefix}visual_projection.weight": torch.ones(4, 32)}
        path = save(tmp_path / "all.safetensors", {prefix + name: each for name, each in weights.items()} | beside)
        assert parts_inside(path) == {"image_encoder"}
        made = inner_image_encoder(path, torch.float32).encode(pictures, CPU)
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_named(tmp_path: Path, umt5: Any) -> None:
    weights = {PREFIX + name: value for name, value in untied(umt5).items()}

    def fault(changed: dict[str, Tensor | None]) -> str:
        left = {name: value for name, value in (weights | changed).items() if value is not None}
        with pytest.raises(ValueError, match=r"all\.safetensors: ") as caught:
            inner_text_encoder(save(tmp_path / "all.safetensors", left), torch.float32)
        return str(caught.value)

    norm, bias = (
        f"{PREFIX}encoder.final_layer_norm.weight",
        "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias.weight",
    )
    assert "closest to UMT5: missing ['encoder.final_layer_norm.weight']" in fault({norm: None})
    # T5 has one bias for all blocks: another model with other numbers
    assert f"missing ['{bias.format(1)}']" in fault({PREFIX + bias.format(1): None})
    assert f"{bias.format(0)} is not there" in fault({PREFIX + bias.format(0): None})
    assert "1 of the 24 numbers of encoder.final_layer_norm.weight are NaN" in fault(
        {norm: torch.cat([torch.full((1,), torch.nan), torch.ones(23)])}
    )
    assert "stored as int8; weights must be floating-point" in fault({norm: torch.ones(24, dtype=torch.int8)})
    with pytest.raises(
        ValueError, match=r"several encoders: text_encoders\.other\., text_encoders\.umt5xxl\.transformer"
    ):
        parts_inside(
            save(tmp_path / "two.safetensors", weights | {"text_encoders.other.shared.weight": torch.ones(2, 2)})
        )


def test_a_broken_tokenizer_is_named(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece", reason="a tokenizer inside a checkpoint needs sentencepiece")
    path = save(tmp_path / "all.safetensors", {"text_encoders.spiece_model": torch.arange(99, dtype=torch.uint8)})
    with pytest.raises(ValueError, match=r"all\.safetensors: its tokenizer is broken"):
        inner_tokenizer(path)
