"""VBench-I2V as its package wants to be called: a stand-in with the signatures of Vchitect/VBench 0.1.5."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from motionstream_core.__main__ import main
from motionstream_core.evaluation.clips.runs import MADE, TRUE, ClipResult
from motionstream_core.evaluation.clips.sets import vbench
from motionstream_core.media.video_file import VideoFile

CPU = torch.device("cpu")
PACKAGE = """
import json, os

class VBenchI2V:
    def __init__(self, device, full_info_dir, output_path):
        self.device, self.output_path = device, output_path

    def evaluate(self, videos_path, name, dimension_list=None, custom_image_folder=None, mode='vbench_standard',
                 local=False, read_frame=False, resolution="1-1", **kwargs):
        assert mode == 'custom_input' and local and kwargs == {'imaging_quality_preprocessing_mode': 'longer'}
        stem = lambda name: os.path.splitext(name)[0]
        images = {stem(each): os.path.join(custom_image_folder, each) for each in os.listdir(custom_image_folder)}
        pairs = [[images[stem(each)], os.path.join(videos_path, each)] for each in sorted(os.listdir(videos_path))]
        results = {each: [0.25 * (1 + number), pairs] for number, each in enumerate(dimension_list)}
        with open(os.path.join(self.output_path, name + '_eval_results.json'), 'w') as file:
            json.dump(results, file)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "site" / "vbench2_beta_i2v").mkdir(parents=True)
    (tmp_path / "site" / "vbench2_beta_i2v" / "__init__.py").write_text(PACKAGE, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield
    sys.modules.pop("vbench2_beta_i2v")


def kept_clip(folder: Path, name: str, value: int) -> ClipResult:
    clip = folder / "clips" / name
    for file, level in ((MADE, value), (TRUE, value // 2)):
        with VideoFile(clip / file, 16, crf=8) as video:
            video.push(torch.full((5, 32, 32, 3), level / 255))
    return ClipResult(name, "videos", "", 5, 1, {})


@pytest.mark.usefixtures("package")
def test_every_video_is_judged_beside_its_own_first_frame(tmp_path: Path) -> None:
    """A clip's name may end in a number, which VBench would cut off."""
    results = [kept_clip(tmp_path, "walk-1", 60), kept_clip(tmp_path, "walk-2", 200)]
    results.append(ClipResult("short", "videos", "", 0, 0, {}, skipped="too short"))
    scores = vbench(tmp_path, results, ("i2v_subject", "motion_smoothness"), CPU)
    assert scores == {"i2v_subject": 0.25, "motion_smoothness": 0.5}
    images = sorted((tmp_path / "vbench" / "images").iterdir())
    assert [each.name for each in images] == ["00000.png", "00001.png"]
    levels = [float(np.asarray(Image.open(each)).mean()) for each in images]
    assert levels == pytest.approx([30, 100], abs=3)
    assert len(list((tmp_path / "vbench" / "videos").iterdir())) == 2


def test_without_the_package_nothing_is_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["evaluate", str(tmp_path), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*given, "--vbench", "all"]) == 2
    assert "needs VBench-I2V" in capsys.readouterr().err
    assert main([*given, "--vbench", "beauty"]) == 2
    assert "'beauty' is unknown; known are i2v_subject" in capsys.readouterr().err
    assert main([*given, "--fvd", str(tmp_path / "none.pt")]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
