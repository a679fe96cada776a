"""Checkpoints in the forms in which people have them: prefixes, all in one file, torch files of any name, in parts."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from motionstream_core.checkpoints import load_model, load_tiny_vae, load_vae, read_checkpoint
from motionstream_core.checkpoints.__main__ import main
from motionstream_core.checkpoints.key_maps import to_diffusers
from motionstream_core.checkpoints.vae_weights import vae_to_original
from motionstream_core.models.vae.tiny_vae import TAEW2_1, TinyVae
from tests.core.checkpoints.test_load import narrow, same, weights_of

SPEC = narrow("wan21_t2v")
PREFIXES = [
    "net.",
    "model.model.",
    "module.",
    "pipe.dit.",
    "model.diffusion_model.",
    "module.model.diffusion_model.",
    "module.net.model._orig_mod.",
    "generator_ema.model.",
    "network.transformer.",
]


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return weights_of(SPEC)


def other_parts() -> dict[str, Tensor]:
    """The first names of what lies beside a transformer in ComfyUI's checkpoints."""
    return {
        "vae.encoder.conv1.weight": torch.zeros(4, 3, 3, 3, 3),
        "vae.conv2.weight": torch.zeros(16, 16, 1, 1, 1),
        "text_encoders.umt5xxl.transformer.shared.weight": torch.zeros(3, 4),
        "text_encoders.umt5xxl.logit_scale": torch.zeros(()),
        "clip_vision.vision_model.embeddings.patch_embedding.weight": torch.zeros(2, 3, 4, 4),
    }


@pytest.mark.parametrize(("prefix", "naming"), list(itertools.product(PREFIXES, ["original", "diffusers"])))
def test_prefixes_in_stacks(tmp_path: Path, weights: dict[str, Tensor], prefix: str, naming: str) -> None:
    named = weights if naming == "original" else to_diffusers(weights)
    save_file({prefix + name: value for name, value in named.items()}, str(tmp_path / "a.safetensors"))
    assert same(load_model(tmp_path / "a.safetensors").model.state_dict(), weights)


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", ""])
def test_all_in_one(
    tmp_path: Path, weights: dict[str, Tensor], prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "all.safetensors"
    save_file({prefix + name: value for name, value in weights.items()} | other_parts(), str(path))
    loaded = load_model(path)
    assert loaded.spec == SPEC and same(loaded.model.state_dict(), weights)
    assert main(["inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert "beside the transformer: VAE (2), image encoder (1), text encoder (2)" in said
    assert main(["convert", str(path), str(tmp_path / "lone.safetensors"), "--to", "original"]) == 0
    assert same(read_checkpoint(tmp_path / "lone.safetensors").tensors, weights)


def test_the_vae_of_an_all_in_one_file(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    autoencoder = pytest.importorskip("diffusers.models.autoencoders.autoencoder_kl_wan").AutoencoderKLWan
    torch.manual_seed(0)
    theirs = autoencoder(base_dim=4).state_dict()
    original = {f"vae.{name}": value.contiguous() for name, value in vae_to_original(theirs).items()}
    beside = {name: value for name, value in other_parts().items() if not name.startswith("vae.")}
    transformer = {f"model.diffusion_model.{name}": value for name, value in weights.items()}
    save_file(transformer | original | beside, str(tmp_path / "all.safetensors"))
    assert same(load_vae(tmp_path / "all.safetensors").vae.state_dict(), theirs)


def test_what_no_part_is_known_for_is_still_listed(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    path = tmp_path / "more.safetensors"
    save_file({f"model.{name}": value for name, value in weights.items()} | {"adapter.x": torch.ones(1)}, str(path))
    with pytest.raises(ValueError, match=r"unknown \['adapter\.x'\]"):
        load_model(path)


@pytest.mark.parametrize("name", ["a.ckpt", "a.bin", "a.pt", "no suffix"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
def test_a_torch_file_is_one_by_its_bytes(tmp_path: Path, weights: dict[str, Tensor], name: str, zipped: bool) -> None:
    """As Lightning and DeepSpeed keep them: entries in entries, with other things beside."""
    held = {"module": {f"net.{key}": value for key, value in weights.items()}, "epoch": 3}
    torch.save({"state_dict": held, "lr": 1e-4}, tmp_path / name, _use_new_zipfile_serialization=zipped)
    assert same(load_model(tmp_path / name).model.state_dict(), weights)


def test_a_torch_file_under_a_wrong_name_says_so(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pt")
    path = (tmp_path / "a.pt").rename(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"a\.safetensors is a torch file by what it holds; rename it to \.pt"):
        load_model(path)


def test_parts_of_torch_files_with_their_index(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    names = sorted(weights)
    parts = {"pytorch_model-1-of-2.bin": names[:20], "pytorch_model-2-of-2.bin": names[20:]}
    for file, held in parts.items():
        torch.save({name: weights[name] for name in held}, tmp_path / file)
    index = tmp_path / "pytorch_model.bin.index.json"
    places = {name: file for file, held in parts.items() for name in held}
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    for place in (index, tmp_path):
        assert same(load_model(place).model.state_dict(), weights)
    index.write_text(json.dumps({"weight_map": places | {"more": "pytorch_model-1-of-2.bin"}}))
    with pytest.raises(ValueError, match=r"index\.json names more, which none of its files holds; download all parts"):
        load_model(index)


@pytest.mark.parametrize(
    ("names", "kind", "place"),
    [
        (["diffusion_model.blocks.0.ffn.0.lora_A.weight"], "a LoRA", "models/loras, for Load MotionStream LoRA"),
        (["lora_unet_blocks_0_ffn_0.lora_down.weight", "lora_unet_blocks_0_ffn_0.alpha"], "a LoRA", "--merge-lora"),
        (["diffusion_model.blocks.0.ffn.0.hada_w1_a"], "a LoRA", "models/loras"),
        (["token_embedding.weight", "blocks.0.attn.q.weight"], "a text encoder", "models/text_encoders"),
        (["shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"], "a text encoder", "Load CLIP"),
        (["vision_model.embeddings.patch_embedding.weight"], "an image encoder", "models/clip_vision"),
        (["encoder.conv1.weight", "conv2.weight"], "a VAE", "models/vae, for core's Load VAE"),
        (["decoder.1.weight", "encoder.0.weight"], "a tiny VAE", "Load MotionStream Tiny VAE"),
    ],
)
def test_another_kind_is_told_and_sent_to_its_place(tmp_path: Path, names: list[str], kind: str, place: str) -> None:
    save_file({name: torch.zeros(1) for name in names}, str(tmp_path / "a.safetensors"))
    with pytest.raises(ValueError, match=rf"a\.safetensors: this is {kind}, not a transformer; .*{place}"):
        load_model(tmp_path / "a.safetensors")


def test_a_transformer_is_no_tiny_vae(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    save_file(weights, str(tmp_path / "a.safetensors"))
    with pytest.raises(ValueError, match="this is a transformer, not a tiny VAE; it belongs into models/motionstream"):
        load_tiny_vae(tmp_path / "a.safetensors")


def test_one_tensor_under_two_names_is_written_twice(tmp_path: Path) -> None:
    """A torch file may hold a tensor once and name it twice; a safetensors file may not."""
    tiny = {name: value.half() for name, value in TinyVae(TAEW2_1).state_dict().items()}
    shared = next(name for name in tiny if name.startswith("decoder") and tiny[name].shape == (64, 64, 3, 3))
    twin = next(name for name in tiny if name != shared and tiny[name].shape == (64, 64, 3, 3))
    tiny[twin] = tiny[shared]
    torch.save(tiny, tmp_path / "a.pth")
    assert main(["convert", str(tmp_path / "a.pth"), str(tmp_path / "b.safetensors"), "--to", "original"]) == 0
    found = load_tiny_vae(tmp_path / "b.safetensors").state_dict()
    assert torch.equal(found[twin], found[shared])
