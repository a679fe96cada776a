"""Weights as people have them, and broken ones, through the loaders in a real ComfyUI; LoRAs over our models."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from motionstream_core.demo.weights import PHOTO_STUDENT
from tests.core.checkpoints.test_forms import other_parts
from tests.core.checkpoints.test_load import narrow, weights_of
from tests.host.comfy_host import ComfyHost
from tests.host.test_nodes_in_host import inputs_of, key_of, shortened

pytestmark = pytest.mark.host

WEIGHTS = weights_of(narrow("wan21_t2v"))


class Trap:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


def prefixed(prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in WEIGHTS.items()}


def sharded(folder: Path) -> None:
    folder.mkdir()
    names = sorted(WEIGHTS)
    places = {name: f"pytorch_model-{1 + (index > 30)}.bin" for index, name in enumerate(names)}
    for file in set(places.values()):
        torch.save({name: WEIGHTS[name] for name in names if places[name] == file}, folder / file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))


GOOD: dict[str, Callable[[Path], None]] = {
    "stacked.safetensors": lambda path: save_file(prefixed("module.model.diffusion_model."), path),
    "all_in_one.safetensors": lambda path: save_file(prefixed("model.diffusion_model.") | other_parts(), path),
    "lightning.ckpt": lambda path: torch.save({"state_dict": prefixed("net.")}, path),
    "plain.bin": lambda path: torch.save(prefixed("pipe.dit."), path),
    "parts/": sharded,
}
BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "a_lora.safetensors": (
        lambda path: save_file({"diffusion_model.blocks.0.ffn.0.lora_A.weight": torch.zeros(1, 1)}, path),
        "this is a LoRA, not a transformer; it changes a model and is none by itself: it belongs into models/loras",
    ),
    "evil.pt": (lambda path: torch.save({"generator": Trap()}, path), "holds more than tensors: it would run"),
    "nan.safetensors": (
        lambda path: save_file({name: value * torch.nan for name, value in WEIGHTS.items()}, path),
        "are NaN or infinite: the file is damaged",
    ),
    "cut.safetensors": (
        lambda path: (save_file(WEIGHTS, path), os.truncate(path, 50_000))[0],
        "this is no safetensors file, or it was cut off",
    ),
    "umt5.safetensors": (
        lambda path: save_file({"shared.weight": torch.zeros(2, 2)}, path),
        "this is a text encoder, not a transformer; it belongs into models/text_encoders",
    ),
}


def loading(checkpoint: str) -> dict[str, Any]:
    """Load a model, and show what it says of itself."""
    inputs = {"checkpoint": checkpoint, "precision": "auto", "family": "auto"}
    return {
        "1": {"class_type": "MotionStreamLoadModel", "inputs": inputs},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 1]}},
    }


@pytest.mark.parametrize("name", GOOD)
def test_every_form_is_listed_and_loads(host: ComfyHost, name: str) -> None:
    GOOD[name](host.models / "motionstream" / name)
    options = host.get("/object_info/MotionStreamLoadModel")["MotionStreamLoadModel"]["input"]["required"]["checkpoint"]
    assert name in json.dumps(options)
    shown = host.run(loading(name))["2"]["text"]
    assert f"{name}: teacher, trained at 832 x 480 px" in shown[0]


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_model_is_refused_in_words(host: ComfyHost, name: str) -> None:
    write, message = BAD[name]
    write(host.models / "motionstream" / name)
    found = host.error(loading(name))
    assert name in found and message in found
    assert "weights_only" not in found


def bundled_lora(folder: Path) -> None:
    """A LoRA of the bundled student, in a naming that core's loader and ours both read."""
    generator = torch.Generator().manual_seed(0)
    lora = {}
    with safe_open(str(PHOTO_STUDENT), "pt") as file:
        for name in file.keys():  # noqa: SIM118
            value = file.get_tensor(name)
            if name.startswith("blocks.") and name.endswith("attn.o.weight"):
                stem = f"diffusion_model.{name.removesuffix('.weight')}"
                lora[f"{stem}.lora_A.weight"] = torch.randn(4, value.shape[1], generator=generator)
                lora[f"{stem}.lora_B.weight"] = torch.randn(value.shape[0], 4, generator=generator)
    folder.mkdir(exist_ok=True)
    save_file(lora, str(folder / "drift.safetensors"))
    torch.save(
        {"generator_lora": {name.replace("diffusion_model.", "base_model.model."): lora[name] for name in lora}},
        folder / "lora.pt",
    )


def latents_with(host: ComfyHost, example: dict[str, Any], lora: dict[str, Any] | None, name: str) -> Tensor:
    """The example's latents (b c f h w), saved as `name`, with a LoRA's node between loader and streamer.

    Frames would not tell: where the model makes what it was told, they are the told pixels.
    """
    prompt = copy.deepcopy(example)
    if lora is not None:
        prompt["lora"] = {"class_type": lora["class_type"], "inputs": {**lora["inputs"]}}
        prompt["lora"]["inputs"]["model"] = [key_of(prompt, "MotionStreamLoadModel"), 0]
        inputs_of(prompt, "MotionStreamStudentStreamer")["model"] = ["lora", 0]
    inputs = {"samples": [key_of(prompt, "MotionStreamStudentStreamer"), 1], "filename_prefix": f"lora/{name}"}
    prompt["kept"] = {"class_type": "SaveLatent", "inputs": inputs}
    host.run(prompt)
    (path,) = (host.output / "lora").glob(f"{name}_*.latent")
    return load_file(path)["latent_tensor"]


def test_a_stream_under_a_lora_by_core_and_by_ours(host: ComfyHost, example: dict[str, Any]) -> None:
    """An all-in-one copy of the bundled student streams as the file itself does, and a LoRA changes both alike."""
    if not PHOTO_STUDENT.is_file():
        pytest.skip("the bundled weights are not here")
    bundled_lora(host.models / "loras")
    with safe_open(str(PHOTO_STUDENT), "pt") as file:
        tensors = {f"module.model.{name}": file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        save_file(tensors | other_parts(), host.models / "motionstream" / "student_aio.safetensors", file.metadata())
    shortened(example, 13)
    core = {"class_type": "LoraLoaderModelOnly", "inputs": {"lora_name": "drift.safetensors", "strength_model": 1.0}}
    ours = {"class_type": "MotionStreamLoadLora", "inputs": {"lora": "lora.pt", "strength": 1.0}}
    plain = latents_with(host, example, None, "plain")
    by_core = latents_with(host, example, core, "core")
    inputs_of(example, "MotionStreamLoadModel")["checkpoint"] = "student_aio.safetensors"
    assert torch.equal(latents_with(host, example, None, "all_in_one"), plain)
    assert (by_core - plain).abs().mean() > 0.02
    torch.testing.assert_close(latents_with(host, example, ours, "ours"), by_core, rtol=0, atol=1e-3)


def test_a_lora_for_another_model_is_an_error_of_our_loader(host: ComfyHost) -> None:
    (host.models / "loras").mkdir(exist_ok=True)
    save_file({"double_blocks.0.mod.lora_A.weight": torch.ones(1, 1)}, host.models / "loras" / "foreign.safetensors")
    prompt = loading("bundled/photo_student")
    inputs = {"model": ["1", 0], "lora": "foreign.safetensors", "strength": 1.0}
    prompt["2"] = {"class_type": "MotionStreamLoadLora", "inputs": inputs}
    prompt["3"] = {"class_type": "PreviewAny", "inputs": {"source": ["2", 1]}}
    found = host.error(prompt)
    assert "foreign.safetensors: this LoRA changes nothing of the model: it is for another one" in found
