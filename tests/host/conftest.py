"""Starts the ComfyUI that COMFYUI_PATH names, once for all tests here; without it they skip and say so."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from motionstream_core.checkpoints import build_model, save_model, save_tiny_vae
from motionstream_core.demo.weights import BUNDLED
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.training.recipes.bundled_specs import STUDENT_SPEC, TEACHER_SPEC
from motionstream_core.training.stages.tiny_vae.stage import BUNDLED_VAE
from tests.host.comfy_host import ROOT, ComfyHost, host_python, with_checkpoints


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyHost]:
    path = os.environ.get("COMFYUI_PATH")
    if not path:
        pytest.skip("COMFYUI_PATH is not set: name a ComfyUI checkout (and its Python with COMFYUI_PYTHON)")
    checkout = Path(path).resolve()
    assert (checkout / "main.py").is_file(), f"COMFYUI_PATH is {path}, which holds no main.py"
    running = ComfyHost(checkout, host_python(), tmp_path_factory.mktemp("comfyui"), torch.cuda.is_available())
    _save_stand_ins(running.models / "motionstream")
    try:
        running.start()
        yield running
    finally:
        running.stop()


def _save_stand_ins(folder: Path) -> None:
    """Random weights of the bundled kind, in a folder of extra_model_paths.yaml: the plumbing needs no better."""
    torch.manual_seed(0)
    for name, spec in (("student", STUDENT_SPEC), ("teacher", TEACHER_SPEC)):
        save_model(folder / f"stand_in_{name}.safetensors", build_model(spec), spec)
    save_tiny_vae(folder / "stand_in_tiny_vae.safetensors", TinyVae(BUNDLED_VAE))


@pytest.fixture(scope="session")
def checkpoints() -> dict[str, str]:
    """What the loaders are told to load: the bundled weights, or stand-ins where those are not there."""
    if all(file.is_file() for file in BUNDLED.values()):
        return {name.removeprefix("bundled/"): name for name in BUNDLED}
    return {
        name.removeprefix("bundled/"): f"stand_in_{name.removeprefix('bundled/').removeprefix('photo_')}.safetensors"
        for name in BUNDLED
    }


@pytest.fixture
def example(checkpoints: dict[str, str]) -> dict[str, Any]:
    """The example workflow's API JSON, to be changed at will."""
    prompt = json.loads((ROOT / "workflows" / "api" / "bundled_image_to_video.json").read_text("utf-8"))
    return with_checkpoints(prompt, checkpoints)


@pytest.fixture(scope="session")
def node_info(host: ComfyHost) -> dict[str, Any]:
    """What the host tells of every node."""
    return host.get("/object_info")
