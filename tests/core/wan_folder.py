"""A Wan model's folder in diffusers' layout with tiny random parts, written by diffusers and transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

WORDS = ["cat", "dog", "runs", "sits", "."]
TEXT_DIM, IMAGE_DIM = 16, 8


def save_encoders(folder: Path) -> None:
    """tokenizer, text_encoder (UMT5), image_encoder (CLIP) and image_processor."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        CLIPVisionModel,
        PreTrainedTokenizerFast,
        UMT5Config,
        UMT5EncoderModel,
    )

    torch.manual_seed(0)
    UMT5EncoderModel(
        UMT5Config(vocab_size=16, d_model=TEXT_DIM, d_kv=8, d_ff=32, num_layers=2, num_heads=2, dropout_rate=0.0)
    ).save_pretrained(folder / "text_encoder")
    CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=IMAGE_DIM,
            intermediate_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=28,
            patch_size=14,
        )
    ).save_pretrained(folder / "image_encoder")
    CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(
        folder / "image_processor"
    )
    vocabulary = {word: index for index, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder / "tokenizer")


def save_vae(folder: Path, **config: Any) -> None:
    """vae: AutoencoderKLWan, narrow."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    torch.manual_seed(1)
    AutoencoderKLWan(base_dim=8, num_res_blocks=1, **config).save_pretrained(folder / "vae")


def save_track_v0(folder: Path) -> None:
    """A whole folder in the layout of FastVideo's Track-v0: diffusers' transformer with `track_encoder` beside it."""
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

    save_encoders(folder)
    save_vae(folder)
    torch.manual_seed(2)
    model = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=52,
        out_channels=16,
        text_dim=TEXT_DIM,
        ffn_dim=32,
        num_layers=2,
        image_dim=IMAGE_DIM,
        added_kv_proj_dim=24,
    )
    model.save_pretrained(folder / "transformer")
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["track_encoder.temporal_conv.weight"] = torch.randn(16, 64, 4, 1, 1) * 0.05
    weights["track_encoder.temporal_conv.bias"] = torch.randn(16) * 0.05
    weights["track_encoder.proj.weight"] = torch.randn(16, 16, 1, 1, 1) * 0.2
    weights["track_encoder.proj.bias"] = torch.randn(16) * 0.05
    save_file(weights, file, {"format": "pt"})
    config_file = folder / "transformer" / "config.json"
    config = json.loads(config_file.read_text("utf-8")) | {"_class_name": "CausalTrackWanTransformer3DModel"}
    config_file.write_text(json.dumps(config), "utf-8")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "CausalTrackWanPipeline"}), "utf-8")
