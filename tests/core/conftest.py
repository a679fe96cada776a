"""A checkpoint folder that tests of several rooms render from."""

from __future__ import annotations

from pathlib import Path

import pytest

from motionstream_core.streaming import image_source
from tests.core.wan_folder import save_track_v0


@pytest.fixture(scope="session")
def track_v0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Track-v0 is published, in miniature; a test that changes files copies it first."""
    folder = tmp_path_factory.mktemp("track_v0")
    save_track_v0(folder)
    return folder


@pytest.fixture
def short_grey_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """For videos of seven latent frames at most, which the clip need not be longer than."""
    monkeypatch.setattr(image_source, "GREY_CLIP_LATENT_FRAMES", 7)
