"""Load MotionStream LoRA without a host: what it hands to core's loader, and what it refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.data.lora_namings import NAMINGS, lora_of
from tests.nodes.test_native import model_of

Pack = Callable[[str], Any]


class Patched:
    """What `ModelPatcher.clone` gives: keeps what is laid over it."""

    def __init__(self) -> None:
        self.laid: tuple[dict[str, Any], float] = ({}, 0.0)

    def add_patches(self, patches: dict[str, Any], strength: float) -> list[str]:
        self.laid = patches, strength
        return list(patches)


@pytest.fixture
def model(pack: Pack) -> Any:
    """A narrow MODEL of ours."""
    spec = pack("motionstream_core.training.recipes.bundled_specs").TEACHER_SPEC
    return model_of(pack, replace(spec, backbone=replace(spec.backbone, dim=48, ffn_dim=64, num_heads=2, num_layers=2)))


@pytest.fixture
def node(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The node's class, with a host that keeps LoRAs in tmp_path and patches what it is given."""
    module = pack("nodes.lora")
    folders = module.folder_paths
    monkeypatch.setattr(folders, "get_folder_paths", lambda _: [str(tmp_path)])
    monkeypatch.setattr(
        folders, "get_full_path", lambda _, name: str(tmp_path / name) if (tmp_path / name).exists() else None
    )
    core = sys.modules["comfy.lora"]
    monkeypatch.setattr(core, "model_lora_keys_unet", lambda *_: {}, raising=False)
    monkeypatch.setattr(core, "load_lora", lambda lora, *_, **__: lora, raising=False)
    return module.MotionStreamLoadLora


@pytest.mark.parametrize("naming", NAMINGS)
def test_core_is_given_one_naming_whatever_the_file_has(
    pack: Pack,
    node: Any,
    model: Any,
    tmp_path: Path,
    naming: str,
) -> None:
    patched = Patched()
    model.clone = lambda: patched
    diffusers_name = pack("motionstream_core.checkpoints.key_maps").diffusers_name
    weights: dict[str, Tensor] = model.model.diffusion_model.state_dict()
    file, change = lora_of(weights, naming, diffusers_name)
    torch.save({"generator_lora": file}, tmp_path / "lora.pt")
    out, about = node.execute(model, "lora.pt", 0.5).args
    assert out is patched and patched.laid[1] == 0.5
    wanted = {f"diffusion_model.{name.removesuffix('.weight')}.alpha" for name in change}
    assert {name for name in patched.laid[0] if name.endswith(".alpha")} == wanted
    assert len(patched.laid[0]) == len(file)
    assert about.startswith(f"lora.pt at 0.5: changes {len(change)} modules")


def test_what_it_refuses(pack: Pack, node: Any, model: Any, tmp_path: Path) -> None:
    assert "is not in models/loras" in node.validate_inputs("none.safetensors")
    assert node.validate_inputs(None) is True
    torch.save({"double_blocks.0.lora_A.weight": torch.zeros(1, 1)}, tmp_path / "foreign.pt")
    assert node.validate_inputs("foreign.pt") is True
    with pytest.raises(ValueError, match=r"foreign\.pt: this LoRA changes nothing of the model"):
        node.execute(model, "foreign.pt", 1.0)
    with pytest.raises(ValueError, match=r"^model: this is a SimpleNamespace, which is not of this pack"):
        node.execute(SimpleNamespace(model=SimpleNamespace()), "foreign.pt", 1.0)


def test_a_file_that_changes_is_read_again(node: Any, tmp_path: Path) -> None:
    before = node.fingerprint_inputs(None, "lora.pt", 1.0)
    torch.save({}, tmp_path / "lora.pt")
    after = node.fingerprint_inputs(None, "lora.pt", 1.0)
    assert before != after != node.fingerprint_inputs(None, "lora.pt", 2.0)
