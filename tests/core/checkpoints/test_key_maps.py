"""Names of weights against a real diffusers model, there and back, and files of every published form."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from motionstream_core.checkpoints.key_maps import (
    bare_name,
    diffusers_name,
    naming_of,
    original_name,
    to_diffusers,
    to_original,
)
from motionstream_core.checkpoints.wan_weights import read_wan_weights
from motionstream_core.models.track_head import TrackHeadConfig
from motionstream_core.models.track_wan import TrackWan
from motionstream_core.models.wan import WanConfig, WanModel

CONFIG = WanConfig(
    dim=24,
    ffn_dim=40,
    num_heads=2,
    num_layers=2,
    in_channels=12,
    out_channels=4,
    freq_dim=16,
    text_dim=10,
    text_len=512,
    image_dim=20,
)


def randomise(module: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)


def reference() -> torch.nn.Module:
    diffusers = pytest.importorskip("diffusers.models.transformers.transformer_wan", reason="the reference")
    theirs = diffusers.WanTransformer3DModel(
        patch_size=CONFIG.patch,
        num_attention_heads=CONFIG.num_heads,
        attention_head_dim=CONFIG.head_dim,
        in_channels=CONFIG.in_channels,
        out_channels=CONFIG.out_channels,
        text_dim=CONFIG.text_dim,
        freq_dim=CONFIG.freq_dim,
        ffn_dim=CONFIG.ffn_dim,
        num_layers=CONFIG.num_layers,
        image_dim=CONFIG.image_dim,
        added_kv_proj_dim=CONFIG.dim,
    ).eval()
    randomise(theirs)
    return theirs


def ours_with(weights: dict[str, Tensor]) -> WanModel:
    model = WanModel(CONFIG).eval()
    model.load_state_dict(weights, strict=True)
    return model


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@torch.no_grad()
def test_a_diffusers_folder_of_several_files_is_the_same_model(tmp_path: Path) -> None:
    theirs = reference()
    theirs.save_pretrained(tmp_path / "transformer", max_shard_size="20KB")  # type: ignore[operator]
    assert len(list((tmp_path / "transformer").glob("*.safetensors"))) > 2
    ours = ours_with(read_wan_weights(tmp_path))
    latents, text = torch.randn(1, 12, 3, 4, 6), torch.randn(1, 512, 10)
    image, timestep = torch.randn(1, 257, 20), torch.tensor([640.0])
    expected = theirs(latents, timestep, text, image, return_dict=False)[0]
    found = ours(latents, timestep, ours.prepare_context(text, image))
    assert (found - expected).abs().max() / expected.std() < 1e-4


def test_names_go_there_and_back() -> None:
    ours, theirs = list(WanModel(CONFIG).state_dict()), list(reference().state_dict())
    assert {diffusers_name(name) for name in ours} == set(theirs)
    assert [original_name(diffusers_name(name)) for name in ours] == ours
    assert [diffusers_name(original_name(name)) for name in theirs] == theirs
    assert naming_of(ours) == "original" and naming_of(theirs) == "diffusers"


def test_the_norms_change_their_number() -> None:
    assert diffusers_name("blocks.11.norm3.weight") == "blocks.11.norm2.weight"
    assert original_name("blocks.11.norm2.bias") == "blocks.11.norm3.bias"
    assert diffusers_name("blocks.0.cross_attn.k_img.weight") == "blocks.0.attn2.add_k_proj.weight"
    assert original_name("blocks.0.attn2.to_k.weight") == "blocks.0.cross_attn.k.weight"


@pytest.mark.parametrize("variant", ["packed", "temporal_conv"])
def test_a_track_head_is_fastvideos_encoder(variant: str) -> None:
    model = TrackWan(CONFIG, TrackHeadConfig(variant=variant, out_channels=4, bias=True))  # type: ignore[arg-type]
    there = to_diffusers(model.state_dict())
    heads = {name for name in there if name.startswith("track_encoder.")}
    parts = ["proj"] if variant == "packed" else ["temporal_conv", "proj"]
    assert heads == {f"track_encoder.{part}.{kind}" for part in parts for kind in ("weight", "bias")}
    assert equal(to_original(there), model.state_dict())


@pytest.mark.parametrize(
    "wrapped",
    [
        "{}",
        "model.diffusion_model.{}",
        "diffusion_model.{}",
        "model.{}",
        "transformer.{}",
        "model._fsdp_wrapped_module.{}",
        "_orig_mod.{}",
    ],
)
def test_hosts_and_wrappers_leave_no_trace(tmp_path: Path, wrapped: str) -> None:
    """ComfyUI's prefixes, Self-Forcing's, torch.compile's; in blocks, a wrapper stands in the middle as well."""
    model = WanModel(CONFIG)
    names = {
        name: wrapped.format(name.replace("blocks.1.", "blocks.1._checkpoint_wrapped_module."))
        for name in model.state_dict()
    }
    path = tmp_path / "wan.safetensors"
    save_file({names[name]: value for name, value in model.state_dict().items()}, str(path))
    assert all(bare_name(wrapped_name) == name for name, wrapped_name in names.items())
    for place in (path, tmp_path):  # the file, or the folder of this one file
        assert equal(read_wan_weights(place), model.state_dict())


def test_a_name_that_wan_has_not_stays_as_it_is() -> None:
    """So that whoever loads the weights can list it."""
    names = ["blocks.0.lora_A.weight", "ref_conv.weight", "blocks.0.attn3.to_q.weight", "norm3.weight"]
    assert [diffusers_name(name) for name in names] == [original_name(name) for name in names] == names


def test_what_is_no_wan_says_so(tmp_path: Path) -> None:
    save_file({"conv.weight": torch.zeros(1)}, str(tmp_path / "vae.safetensors"))
    with pytest.raises(ValueError, match=r"vae.safetensors: these are no weights .* first names are conv.weight"):
        read_wan_weights(tmp_path / "vae.safetensors")
    with pytest.raises(ValueError, match=r"model.head.head.bias and transformer.head.head.bias are one and"):
        to_original({"model.head.head.bias": 1, "transformer.head.head.bias": 2})
    (tmp_path / "vae.safetensors").write_text("no tensors")
    with pytest.raises(ValueError, match="is no safetensors file"):
        read_wan_weights(tmp_path / "vae.safetensors")


def test_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no weights at"):
        read_wan_weights(tmp_path / "nothing.safetensors")
    with pytest.raises(
        FileNotFoundError, match=r"no single file of weights \(safetensors or bin\) and no single index \(none\)"
    ):
        read_wan_weights(tmp_path)
    index = tmp_path / "wan.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "wan-1.safetensors"}}))
    with pytest.raises(FileNotFoundError, match=r"names wan-1.safetensors, which is not there; download all parts"):
        read_wan_weights(tmp_path)
    index.write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))
    with pytest.raises(ValueError, match="is not a file beside it"):
        read_wan_weights(index)
    for content, fault in (("[]", "it must be an object"), ("{}", "no index"), ('{"weight_map": {}}', "no index")):
        index.write_text(content)
        with pytest.raises(ValueError, match=rf"^{re.escape(str(index))}.*{fault}"):
            read_wan_weights(index)
