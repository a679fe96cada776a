"""Narrow models with random weights, written as each family is published, and read again."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from motionstream_core.checkpoints import build_model, load_model, load_tiny_vae, load_vae, read_checkpoint
from motionstream_core.checkpoints.families import BY_KEY
from motionstream_core.checkpoints.key_maps import to_diffusers
from motionstream_core.checkpoints.spec import ModelSpec
from motionstream_core.checkpoints.wan_weights import read_wan_weights
from motionstream_core.models.vae.tiny_vae import LIGHTTAEW2_1, TAEW2_1, TAEW2_2, TinyVae
from motionstream_core.models.vae.wan_vae import WAN21_MEAN, WAN21_STD

WEIGHTS = "diffusion_pytorch_model.safetensors"


def narrow(family: str) -> ModelSpec:
    """The family's spec with one head of 128, two layers, and its own input channels."""
    spec = BY_KEY[family].spec
    image = None if spec.backbone.image_dim is None else 20
    backbone = dataclasses.replace(
        spec.backbone, dim=128, ffn_dim=40, num_heads=1, num_layers=2, freq_dim=16, text_dim=12, image_dim=image
    )
    head = None if spec.track_head is None else dataclasses.replace(spec.track_head, id_dim=8)
    return dataclasses.replace(spec, backbone=backbone, track_head=head)


def weights_of(spec: ModelSpec, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {name: value.to(dtype) for name, value in build_model(spec).state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name].view(torch.uint8), other[name].view(torch.uint8))
        for name in one
        if one[name].ndim
    )


@pytest.mark.parametrize("family", ["track_v0", "trackwan"])
def test_fastvideos_folder_says_which_it_is(tmp_path: Path, family: str) -> None:
    """Its root or its transformer's folder; the weights by themselves, beside their config.json."""
    spec, folder = narrow(family), tmp_path / "transformer"
    weights = weights_of(spec)
    name = {"track_v0": "CausalTrackWanTransformer3DModel", "trackwan": "TrackWanTransformer3DModel"}[family]
    folder.mkdir()
    # a norm that published files hold and no code reads
    unused = {f"blocks.{index}.attn2.norm_added_q.weight": torch.ones(128) for index in range(2)}
    save_file(to_diffusers(weights) | unused, str(folder / WEIGHTS), {"format": "pt"})
    assert same(read_wan_weights(folder), weights)
    (folder / "config.json").write_text(json.dumps({"_class_name": name}))
    for place in (tmp_path, folder, folder / WEIGHTS):
        loaded = load_model(place)
        assert loaded.spec == spec and same(loaded.model.state_dict(), weights)
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match='say role="teacher" or role="student"'):
        load_model(folder / WEIGHTS)
    assert load_model(folder / WEIGHTS, role=spec.role).spec == spec


def test_self_forcings_torch_file(tmp_path: Path) -> None:
    """{generator, generator_ema, critic}, the averaged weights are meant; wrappers leave no trace."""
    spec = narrow("self_forcing")
    weights = weights_of(spec)
    other = {f"model.{name}": torch.zeros_like(value) for name, value in weights.items()}
    averaged = {f"model._fsdp_wrapped_module.{name}": value for name, value in weights.items()}
    torch.save({"generator": other, "critic": other, "generator_ema": averaged}, tmp_path / "a.pt")
    torch.save({"generator": averaged}, tmp_path / "b.pt")
    torch.save({"generator_ema": averaged}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("a.pt", "b.pt", "old.pt"):
        loaded = load_model(tmp_path / name)
        assert loaded.spec == spec and same(loaded.model.state_dict(), weights)
    for prefix in ("", "model.diffusion_model."):
        path = tmp_path / f"{len(prefix)}.safetensors"
        save_file({prefix + key: value for key, value in weights.items()}, str(path))
        assert load_model(path).spec.role == "teacher"  # nothing tells it from plain Wan
        assert load_model(path, role="student").spec == spec


def test_a_torch_file_runs_no_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, (f"open({str(tmp_path / 'sprung')!r}, 'w')",)

    torch.save({"generator": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(
        ValueError, match=r"trap\.pt holds more than tensors: it would run exec when opened, so it is not opened"
    ):
        load_model(tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="holds no tensors by name; it holds list"):
        load_model(tmp_path / "list.pt")


@pytest.mark.parametrize("family", ["wan21_t2v", "wan21_i2v", "wan21_fun_control", "wan22_ti2v"])
def test_plain_wan_in_every_naming(tmp_path: Path, family: str) -> None:
    spec = narrow(family)
    weights = weights_of(spec)
    save_file(weights, str(tmp_path / "original.safetensors"))
    save_file(to_diffusers(weights), str(tmp_path / "diffusers.safetensors"))
    torch.save(weights, tmp_path / "original.pth")
    for name in ("original.safetensors", "diffusers.safetensors", "original.pth"):
        loaded = load_model(tmp_path / name)
        assert loaded.spec == spec and same(loaded.model.state_dict(), weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn], ids=str)
def test_weights_keep_their_dtype_until_they_are_cast(tmp_path: Path, dtype: torch.dtype) -> None:
    """Large ones in `dtype`, norms in fp32, as files of fp8 are."""
    weights = {
        name: value.to(dtype) if value.ndim > 1 else value for name, value in weights_of(narrow("wan21_t2v")).items()
    }
    save_file(weights, str(tmp_path / "wan.safetensors"))
    assert same(load_model(tmp_path / "wan.safetensors").model.state_dict(), weights)
    cast = load_model(tmp_path / "wan.safetensors", torch.float32).model.state_dict()
    assert same(cast, {name: value.float() for name, value in weights.items()})


@pytest.mark.parametrize("spelling", ["scale_weight", "weight_scale"])
def test_scaled_fp8_is_multiplied_out(tmp_path: Path, spelling: str) -> None:
    true = weights_of(narrow("wan21_t2v"))
    stored: dict[str, Tensor] = {}
    for name, value in true.items():
        if ".ffn." in name and name.endswith(".weight"):
            scale = value.abs().amax() / 448
            stem = name.removesuffix(".weight")
            stored |= {name: (value / scale).to(torch.float8_e4m3fn), f"{stem}.{spelling}": scale}
            if spelling == "weight_scale":
                said = json.dumps({"format": "float8_e4m3fn"}).encode()
                stored[f"{stem}.comfy_quant"] = torch.tensor(list(said), dtype=torch.uint8)
        else:
            stored[name] = value
    if spelling == "scale_weight":
        stored["scaled_fp8"] = torch.empty(0, dtype=torch.float8_e4m3fn)
    path = tmp_path / "scaled.safetensors"
    save_file({f"model.diffusion_model.{name}": value for name, value in stored.items()}, str(path))
    assert same(read_checkpoint(path).tensors, stored)
    found = load_model(path, torch.float32).model.state_dict()
    for name, value in true.items():
        step = value.abs().amax() / 16  # e4m3 keeps three bits of a number
        assert (found[name] - value).abs().max() <= (step if ".ffn." in name else 0), name
    stored["blocks.0.ffn.0.comfy_quant"] = torch.tensor(list(b'{"format": "nvfp4"}'), dtype=torch.uint8)
    save_file(stored, str(path))
    with pytest.raises(ValueError, match=r"comfy_quant says 'nvfp4'; of ComfyUI's quantisations only float8_e4m3fn, "):
        load_model(path)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_loading_takes_no_second_copy(tmp_path: Path) -> None:
    """Memory of the process's own, which mapped files are not part of, grows by next to nothing for 60 MB."""
    small = narrow("wan21_t2v")
    large = dataclasses.replace(small, backbone=dataclasses.replace(small.backbone, ffn_dim=30_000))
    held = []
    for name, spec in (("small", small), ("large", large)):
        with torch.device("meta"):
            shapes = {key: value.shape for key, value in build_model(spec).state_dict().items()}
        save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, str(tmp_path / name))
    load_model(tmp_path / "small")  # whatever is made once is made
    before = own_kilobytes()
    held.append(load_model(tmp_path / "large"))
    assert (tmp_path / "large").stat().st_size > 60e6
    assert own_kilobytes() - before < 6_000


def own_kilobytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])


def tiny_weights(config: object = TAEW2_1, dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {name: value.to(dtype) for name, value in TinyVae(config).state_dict().items()}  # type: ignore[arg-type]


@pytest.mark.parametrize(("suffix", "config"), [("safetensors", TAEW2_1), ("pth", TAEW2_2)], ids=["2.1", "2.2"])
def test_taehvs_files(tmp_path: Path, suffix: str, config: object) -> None:
    weights, path = tiny_weights(config), tmp_path / f"any.{suffix}"
    torch.save(weights, path) if suffix == "pth" else save_file(weights, str(path))
    vae = load_tiny_vae(path, torch.float16)
    assert vae.config == config and same(vae.state_dict(), weights)
    assert load_tiny_vae(path).dtype == torch.float32


def test_lighttaew2_1_is_told_by_numbers_that_fp16_has_not(tmp_path: Path) -> None:
    """lightx2v's file is fp32 and trained in fp32; taehv's, even when it was widened, holds fp16 numbers."""
    light, path = tiny_weights(dtype=torch.float32), tmp_path / "tiny.safetensors"
    save_file(light, str(path))
    vae = load_tiny_vae(path)
    assert vae.config == LIGHTTAEW2_1
    plain = TinyVae(TAEW2_1)
    plain.load_state_dict(light)
    latents = torch.randn(1, 16, 2, 4, 4)
    mean, std = (torch.tensor(numbers).view(1, 16, 1, 1, 1) for numbers in (WAN21_MEAN, WAN21_STD))
    with torch.no_grad():
        expected = plain.decode(latents * std + mean)
        assert torch.equal(vae.decode(latents), expected)
        assert not torch.allclose(plain.decode(latents), expected)
    assert load_tiny_vae(path, variant="taew2_1").config == TAEW2_1
    save_file({name: value.half().float() for name, value in light.items()}, str(path))
    assert load_tiny_vae(path).config == TAEW2_1
    save_file({name: value.bfloat16() for name, value in light.items()}, str(path))
    with pytest.raises(ValueError, match=r"are taew2_1 or lighttaew2_1, which in torch.bfloat16 look alike; say which"):
        load_tiny_vae(path)
    assert load_tiny_vae(path, variant="lighttaew2_1").config == LIGHTTAEW2_1


@pytest.mark.parametrize("name", ["2.1", "2.2"])
@torch.no_grad()
def test_the_full_vae_from_a_folder_and_from_the_original_file(tmp_path: Path, name: str) -> None:
    autoencoder = pytest.importorskip("diffusers.models.autoencoders.autoencoder_kl_wan").AutoencoderKLWan
    from motionstream_core.checkpoints.vae_weights import vae_to_original
    from motionstream_core.models.vae.wan_vae import WAN22_MEAN, WAN22_STD, WanVae

    arguments = {"base_dim": 4}
    if name == "2.2":
        arguments |= {"base_dim": 4, "decoder_base_dim": 8, "z_dim": 48, "is_residual": True, "patch_size": 2}
        arguments |= {"in_channels": 12, "out_channels": 12, "scale_factor_spatial": 16}
        arguments |= {"latents_mean": list(WAN22_MEAN), "latents_std": list(WAN22_STD)}  # type: ignore[dict-item]
    torch.manual_seed(0)
    theirs = autoencoder(**arguments).eval()
    theirs.save_pretrained(tmp_path / "vae")
    original = vae_to_original(theirs.state_dict())
    assert "encoder.downsamples.0." in "".join(original)
    torch.save(original, tmp_path / "Wan.pth")
    save_file({f"vae.{key}": value.contiguous() for key, value in original.items()}, str(tmp_path / "wan.safetensors"))
    latents = torch.randn(1, theirs.config["z_dim"], 2, 2, 2)
    expected = WanVae(theirs).decode(latents)
    for place in ("", "vae", "Wan.pth", "wan.safetensors"):
        vae = load_vae(tmp_path / place)
        assert torch.equal(vae.decode(latents), expected)
    assert load_vae(tmp_path, torch.bfloat16).vae.dtype == torch.bfloat16
    del original["conv2.bias"]
    torch.save(original, tmp_path / "Wan.pth")
    with pytest.raises(ValueError, match=rf"Wan\.pth: closest is Wan {name} VAE: missing \['post_quant_conv.bias'\]"):
        load_vae(tmp_path / "Wan.pth")
    save_file({"a": torch.zeros(1)}, str(tmp_path / "wan.safetensors"))
    with pytest.raises(ValueError, match="these are no weights of a Wan VAE"):
        load_vae(tmp_path / "wan.safetensors")
