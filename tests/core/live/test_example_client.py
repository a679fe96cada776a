"""The client in docs/ against a server: short, as promised, and it works."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from motionstream_core.live.open import Opened
from motionstream_core.live.page import LivePage, serving

from .conftest import PICTURE, PROMPT

FILE = Path(__file__).parents[3] / "docs" / "live_client.py"


def test_it_steers_and_keeps_the_pictures(make_opened: Callable[..., Opened], tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("live_client", FILE)
    assert spec is not None and spec.loader is not None
    client = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(client)
    page = LivePage(make_opened(), PROMPT, PICTURE, tmp_path / "live")
    with serving(page) as address:
        files = asyncio.run(client.steer(address, tmp_path / "out", 1.5))
    assert files["video"].endswith("live_00001.mp4")
    pictures = sorted((tmp_path / "out").iterdir())
    assert len(pictures) >= 13 and [path.name for path in pictures[:2]] == ["00000.jpg", "00001.jpg"]
    assert np.asarray(Image.open(pictures[-1])).shape == (32, 48, 3)


def test_it_is_short() -> None:
    code = [line for line in FILE.read_text().splitlines() if line.strip()]
    assert len(code) <= 70
