"""Write published_keys.json: names and shapes of tensors as the reference codes have them, built on the meta device.

    WAN21_PATH=... TAEHV_PATH=... COMFYUI_PATH=... python tests/data/make_published_keys.py

Wan-Video/Wan2.1 and madebyollin/taehv save their modules' own state dicts, so these are the names in their files.
Wan 2.2's VAE is taken from ComfyUI's copy of its module, in a Python that has ComfyUI's requirements (COMFYUI_PYTHON).
Blocks of a transformer are gathered under `blocks.*`, which every one of them shares.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import torch

HERE = Path(__file__).parent
TRANSFORMERS = {
    "wan21_t2v_1.3b": {"model_type": "t2v", "dim": 1536, "ffn_dim": 8960, "num_heads": 12, "num_layers": 30},
    "wan21_i2v_14b": {
        "model_type": "i2v",
        "dim": 5120,
        "ffn_dim": 13824,
        "num_heads": 40,
        "num_layers": 40,
        "in_dim": 36,
    },
}
VAE_22 = """
import json, os, sys
sys.path.insert(0, os.environ["COMFYUI_PATH"])
import comfy.cli_args
comfy.cli_args.args.cpu = True
import torch
from comfy.ldm.wan.vae2_2 import WanVAE
with torch.device("meta"):
    vae = WanVAE(dim=160, dec_dim=256, z_dim=48, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[],
                 temperal_downsample=[False, True, True], dropout=0.0)
print("KEYS" + json.dumps({name: list(value.shape) for name, value in vae.state_dict().items()}))
"""


def shapes(module: torch.nn.Module) -> dict[str, list[int]]:
    return {re.sub(r"^blocks\.\d+", "blocks.*", name): list(value.shape) for name, value in module.state_dict().items()}


def wan_module(name: str) -> ModuleType:
    """One file of Wan2.1's package, without what the package's __init__ imports."""
    if "wan_modules" not in sys.modules:
        package = ModuleType("wan_modules")
        package.__path__ = [str(Path(os.environ["WAN21_PATH"]) / "wan" / "modules")]
        sys.modules["wan_modules"] = package
    return importlib.import_module(f"wan_modules.{name}")


def main() -> None:
    sys.path.insert(0, os.environ["TAEHV_PATH"])
    from taehv import TAEHV

    keys: dict[str, dict[str, list[int]]] = {}
    with torch.device("meta"):
        for name, arguments in TRANSFORMERS.items():
            keys[name] = shapes(wan_module("model").WanModel(**arguments))
        keys["wan21_vae"] = shapes(
            wan_module("vae").WanVAE_(dim=96, z_dim=16, temperal_downsample=[False, True, True], dropout=0.0)
        )
        keys["taew2_1"] = shapes(TAEHV(None))
        keys["taew2_2"] = shapes(TAEHV(None, patch_size=2, latent_channels=48))
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    output = subprocess.run([python, "-c", VAE_22], capture_output=True, text=True, check=True).stdout
    keys["wan22_vae"] = json.loads(output.partition("KEYS")[2])
    lines = [
        f'"{name}": {{\n' + ",\n".join(f"  {json.dumps(key)}: {shape}" for key, shape in found.items()) + "\n}"
        for name, found in keys.items()
    ]
    (HERE / "published_keys.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
