"""Our transformer and the VAE that we load against ComfyUI core's own Wan code, COMFYUI_PATH.

Core runs in a process of its own, by the Python that COMFYUI_PYTHON names (one with ComfyUI's requirements), on the CPU
and in fp32; tensors go there and back as files.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from motionstream_core.checkpoints import load_model, load_vae
from motionstream_core.checkpoints.convert import convert
from motionstream_core.models.wan import WanConfig, WanModel
from tests.parity.references import checkout, error, randomise, report

START = """
import sys
import comfy.cli_args
comfy.cli_args.args.cpu = True
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
torch.set_grad_enabled(False)
given, folder = load_file(sys.argv[1] + "/given.safetensors"), sys.argv[1]
"""
TRANSFORMER = """
import comfy.model_detection, comfy.ops, comfy.utils
from comfy.ldm.wan.model import WanModel
weights, metadata = comfy.utils.load_torch_file(folder + "/wan.safetensors", return_metadata=True)
config = comfy.model_detection.detect_unet_config(weights, "model.diffusion_model.", metadata)
print("CAUSAL", config.pop("causal_ar", False))
config.update(text_dim=24, freq_dim=32, operations=comfy.ops.disable_weight_init, device="cpu", dtype=torch.float32)
model = WanModel(**config).eval()
bare = {name.removeprefix("model.diffusion_model."): value for name, value in weights.items()}
model.load_state_dict(bare, strict=True)
found = model(given["latents"], given["timestep"], given["text"], given.get("image"))
save_file({"found": found.contiguous()}, folder + "/found.safetensors")
"""
VAE = """
from comfy.ldm.wan.vae2_2 import WanVAE
vae = WanVAE(dim=8, dec_dim=12, z_dim=48, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[],
             temperal_downsample=[False, True, True], dropout=0.0).eval()
torch.manual_seed(0)
for name, parameter in vae.named_parameters():
    if name.endswith("bias"):
        torch.nn.init.normal_(parameter, std=0.1)
    elif name.endswith("gamma"):
        torch.nn.init.normal_(parameter, mean=1, std=0.1)
    else:
        torch.nn.init.normal_(parameter, std=(1 / parameter.shape[1:].numel()) ** 0.5)
torch.save(vae.state_dict(), folder + "/Wan2.2_VAE.pth")
found = {"frames": vae.decode(given["latents"]), "latents": vae.encode(given["frames"])}
save_file({name: value.contiguous() for name, value in found.items()}, folder + "/found.safetensors")
"""


def in_core(code: str, folder: Path, given: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """What `code` saves and prints in core's process, told the tensors `given`."""
    root = checkout("COMFYUI_PATH", "Comfy-Org/ComfyUI")
    save_file(given, str(folder / "given.safetensors"))
    done = subprocess.run(
        [os.environ.get("COMFYUI_PYTHON", sys.executable), "-c", START + code, str(folder)],
        env=os.environ | {"PYTHONPATH": str(root)},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return load_file(folder / "found.safetensors"), done.stdout


@pytest.mark.parametrize("kind", ["teacher", "student", "i2v"])
@torch.no_grad()
def test_the_transformer_in_the_layout_of_comfyui(tmp_path: Path, kind: str) -> None:
    """Core reads what `convert --to comfyui` writes, knows a causal student, and predicts the same."""
    checkout("COMFYUI_PATH", "Comfy-Org/ComfyUI")
    image_dim, channels = (1280, 36) if kind == "i2v" else (None, 16)
    config = WanConfig(
        dim=256,
        ffn_dim=96,
        num_heads=2,
        num_layers=2,
        in_channels=channels,
        freq_dim=32,
        text_dim=24,
        image_dim=image_dim,
    )
    start = WanModel(config)
    randomise(start, 0.1)
    save_file(start.state_dict(), str(tmp_path / "original.safetensors"))
    role = "student" if kind == "student" else None
    convert(tmp_path / "original.safetensors", tmp_path / "wan.safetensors", "comfyui", role=role)
    loaded = load_model(tmp_path / "wan.safetensors")
    assert loaded.spec.role == (role or "teacher")
    given = {"latents": torch.randn(1, channels, 3, 8, 12), "timestep": torch.tensor([731.0])}
    given["text"] = torch.randn(1, 512, 24)
    if image_dim:
        given["image"] = torch.randn(1, 257, image_dim)
    found, said = in_core(TRANSFORMER, tmp_path, given)
    assert f"CAUSAL {kind == 'student'}" in said
    context = loaded.model.prepare_context(given["text"], given.get("image"))
    ours = loaded.model(given["latents"], given["timestep"], context)
    report(f"ComfyUI core, transformer {kind}", error(ours, found["found"]))


@torch.no_grad()
def test_the_vae_of_wan_22_from_a_file_of_its_own(tmp_path: Path) -> None:
    given = {"latents": torch.randn(1, 48, 3, 4, 4), "frames": torch.rand(1, 3, 9, 32, 32) * 2 - 1}
    found, _ = in_core(VAE, tmp_path, given)
    ours = load_vae(tmp_path / "Wan2.2_VAE.pth")
    mean, std = ours._statistics(torch.device("cpu"))
    decoded = ours.decode((given["latents"] - mean) / std, clamp=False) * 2 - 1
    report("ComfyUI core, Wan 2.2 VAE decode", error(decoded, found["frames"]))
    encoded = ours.encode((given["frames"] + 1) / 2) * std + mean
    report("ComfyUI core, Wan 2.2 VAE encode", error(encoded, found["latents"]))
