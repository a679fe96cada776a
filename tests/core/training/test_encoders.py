"""Encoders of prepared clips: tiny random models saved as Wan's folder is, against the plain use of their libraries."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="Wan's VAE needs diffusers")
pytest.importorskip("transformers", reason="Wan's text encoder needs transformers")

from motionstream_core.checkpoints.spec import ModelSpec
from motionstream_core.geometry import VaeStride
from motionstream_core.models.conditioning import InputLayout
from motionstream_core.models.encoders import MAX_TEXT_TOKENS
from motionstream_core.models.vae.tiny_vae import TinyVaeConfig
from motionstream_core.models.vae.wan_vae import WanVae
from motionstream_core.models.wan import WanConfig
from motionstream_core.training.data.encoders import WanEncoders
from tests.core.wan_folder import WORDS, save_encoders, save_vae

CPU = torch.device("cpu")
SPEC = ModelSpec(
    role="teacher",
    backbone=WanConfig(
        dim=24, ffn_dim=32, num_heads=2, num_layers=1, in_channels=12, out_channels=4, text_dim=16, image_dim=8
    ),
    layout=InputLayout((("noise", 4), ("mask", 4), ("image", 4))),
    vae_stride=VaeStride(4, 8),
    image_rule="grey_clip",
)
TINY = TinyVaeConfig(
    latent_channels=4,
    patch_size=2,
    decoder_widths=(4, 4, 4, 4),
    encoder_width=4,
    decoder_space_upscale=(True, True, False),
    encoder_space_downscale=(True, True, False),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wan")
    save_encoders(folder)
    save_vae(folder, z_dim=4, latents_mean=[0.2, -0.4, 0.1, 0.9], latents_std=[2.0, 1.5, 3.0, 0.7])
    return folder


@pytest.fixture(scope="module")
def encoders(folder: Path) -> WanEncoders:
    return WanEncoders.load(folder, SPEC, CPU, torch.float32)


def umt5(folder: Path) -> Any:
    from transformers import UMT5EncoderModel

    return UMT5EncoderModel.from_pretrained(folder / "text_encoder").eval()


# --- text


@torch.no_grad()
def test_text_is_what_umt5_makes_of_the_caption_padded_to_512(folder: Path, encoders: WanEncoders) -> None:
    ids = {word: index + 3 for index, word in enumerate(WORDS)}
    captions = ["cat runs .", "dog", "", "  cat \n sits  "]
    made = encoders.text(captions)
    for caption, text in zip(captions, made, strict=True):
        tokens = [ids[word] for word in caption.split()] + [1]
        padded = torch.tensor([tokens + [0] * (MAX_TEXT_TOKENS - len(tokens))])
        mask = (torch.arange(MAX_TEXT_TOKENS) < len(tokens)).long()[None]
        expected = umt5(folder)(padded, attention_mask=mask).last_hidden_state[0, : len(tokens)]
        assert text.shape == (len(tokens), 16) and text.std() > 0
        torch.testing.assert_close(text, expected, rtol=1e-4, atol=1e-5)
    assert encoders.empty_text is not None
    torch.testing.assert_close(encoders.empty_text, made[2], rtol=1e-4, atol=1e-5)


def test_a_long_caption_is_cut_at_512_tokens(encoders: WanEncoders) -> None:
    (text,) = encoders.text(["cat dog " * 400])
    assert text.shape == (MAX_TEXT_TOKENS, 16)


# --- images


@torch.no_grad()
def test_image_tokens_are_the_states_before_clips_last_layer(folder: Path, encoders: WanEncoders) -> None:
    from transformers import CLIPVisionModel

    images = torch.rand(2, 3, 28, 28)
    tokens = encoders.image_tokens(images)
    assert tokens is not None and tokens.shape == (2, 5, 8)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    pixels = ((images * 255).round() / 255 - mean) / std
    model = CLIPVisionModel.from_pretrained(folder / "image_encoder").eval()
    layers: list[torch.Tensor] = []
    last = [module for module in model.modules() if type(module).__name__ == "CLIPEncoderLayer"][-1]
    handle = last.register_forward_pre_hook(
        lambda module, args, kwargs: layers.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
    )
    model(pixels)
    handle.remove()
    torch.testing.assert_close(tokens, layers[0], rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_the_image_condition_is_a_clip_that_turns_grey(folder: Path, encoders: WanEncoders) -> None:
    frames = torch.rand(1, 3, 9, 16, 24)
    image = encoders.image_condition(frames)
    grey = frames.clone()
    grey[:, :, 1:] = 0.5
    expected = WanVae.from_pretrained(folder / "vae").encode(grey)
    assert image is not None
    torch.testing.assert_close(image, expected, rtol=1e-4, atol=1e-5)
    first = encoders.vae_latents(frames)
    torch.testing.assert_close(image[:, :, 0], first[:, :, 0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(image[:, :, 1:], first[:, :, 1:], atol=1e-2)


def test_a_model_that_starts_from_its_first_latent_needs_no_more(folder: Path) -> None:
    layout = InputLayout((("noise", 4), ("image", 4)))
    backbone = replace(SPEC.backbone, in_channels=8, image_dim=None)
    spec = replace(SPEC, image_rule="first_latent", layout=layout, backbone=backbone)
    made = WanEncoders.load(folder, spec, CPU, torch.float32)
    assert made.image_condition(torch.rand(1, 3, 5, 16, 16)) is None
    assert made.image_tokens(torch.rand(1, 3, 16, 16)) is None


# --- faults


def test_encoders_of_another_model_are_refused(folder: Path) -> None:
    backbone = replace(SPEC.backbone, text_dim=4096)
    with pytest.raises(ValueError, match="text width: the model takes 4096, these encoders give 16"):
        WanEncoders.load(folder, replace(SPEC, backbone=backbone), CPU)
    with pytest.raises(ValueError, match="VAE strides"):
        WanEncoders.load(folder, replace(SPEC, vae_stride=VaeStride(4, 16)), CPU)


def test_a_missing_subfolder_is_named(tmp_path: Path) -> None:
    (tmp_path / "vae").mkdir()
    with pytest.raises(FileNotFoundError, match="no subfolder 'tokenizer'"):
        WanEncoders.load(tmp_path, SPEC, CPU)


def test_without_transformers_the_error_names_the_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match="pip install transformers"):
        WanEncoders.load(folder, SPEC, CPU)


def test_latents_leave_the_device_as_plain_floats(encoders: WanEncoders) -> None:
    latents = encoders.vae_latents(torch.from_numpy(np.random.default_rng(0).random((1, 3, 5, 16, 16), np.float32)))
    assert latents.dtype == torch.float32 and latents.device == CPU and not latents.requires_grad
