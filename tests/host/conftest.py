"""Starts the ComfyUI that COMFYUI_PATH names, once for all tests here; without it they skip and say so."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from motionstream_core.demo.weights import STUDENT, TINY_VAE
from tests.host.comfy_host import ROOT, ComfyHost, host_python


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyHost]:
    path = os.environ.get("COMFYUI_PATH")
    if not path:
        pytest.skip("COMFYUI_PATH is not set: name a ComfyUI checkout (and its Python with COMFYUI_PYTHON)")
    if missing := [str(file) for file in (STUDENT, TINY_VAE) if not file.is_file()]:
        pytest.skip(f"the bundled weights are not there: {', '.join(missing)}")
    checkout = Path(path).resolve()
    assert (checkout / "main.py").is_file(), f"COMFYUI_PATH is {path}, which holds no main.py"
    running = ComfyHost(checkout, host_python(), tmp_path_factory.mktemp("comfyui"), torch.cuda.is_available())
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def example() -> dict[str, Any]:
    """The example workflow's API JSON, to be changed at will."""
    return json.loads((ROOT / "workflows" / "bundled_image_to_video_api.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def node_info(host: ComfyHost) -> dict[str, Any]:
    """What the host tells of every node."""
    return host.get("/object_info")
