"""The stages of a Wan model one after another, as the command runs them, on narrow twins and made-up clips."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from motionstream_core.checkpoints import build_model, load_model, load_tiny_vae, save_tiny_vae
from motionstream_core.media.video import VideoFrames
from motionstream_core.models.vae.wan_vae import WanVae
from motionstream_core.training.data.videos import VideoClips
from motionstream_core.training.engine.engine import Compute
from motionstream_core.training.engine.log import Log
from motionstream_core.training.recipes import wan_stages
from motionstream_core.training.recipes.wan import WAN_PRESETS
from motionstream_core.training.recipes.wan_stages import CLIP_FOLDERS, WAN_STAGES, Material, WanRun
from tests.core.training.narrow_wan import NUM_CLIPS, decoder_for, latent_frames, narrow, write_base, write_clips

CPU = torch.device("cpu")
NAMES = pytest.mark.parametrize("name", list(WAN_PRESETS))


Drawn = dict[tuple[str, int], set[tuple[Path, int]]]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Which clips were read, by the folder and by how many whoever read them may draw from."""
    places: Drawn = defaultdict(set)
    sample = VideoClips._sample

    def watched(clips: VideoClips, clip: int, *rest: Any) -> Any:
        places[clips.folder.name, len(clips)].add(clips._places[clip])
        return sample(clips, clip, *rest)

    monkeypatch.setattr(VideoClips, "_sample", watched)
    return places


@NAMES
def test_from_clips_and_published_weights_to_a_student(name: str, tmp_path: Path, drawn: Drawn) -> None:
    preset = narrow(WAN_PRESETS[name])
    for folder in CLIP_FOLDERS:
        write_clips(tmp_path / folder, preset.teacher)
    write_base(tmp_path / "base.safetensors", preset)
    save_tiny_vae(tmp_path / "tiny_vae.safetensors", decoder_for(preset))
    said: list[str] = []
    run = WanRun(
        tmp_path,
        Compute(CPU, "fp32", activation_checkpointing=True),
        Log(tmp_path / "log", said.append),
        preset,
        Material(base=tmp_path / "base.safetensors"),
    )
    for stage in ("teacher", "ode", "causal", "distill"):
        WAN_STAGES[stage](run)
    start, teacher = build_model(preset.teacher).state_dict(), load_model(tmp_path / "teacher.safetensors")
    student = load_model(tmp_path / "student.safetensors")
    assert (teacher.spec, student.spec.role) == (preset.teacher, "student")
    assert student.spec == replace(preset.teacher, role="student")
    for loaded in (teacher, student):
        state = loaded.model.state_dict()
        assert state.keys() == start.keys() and all(value.isfinite().all() for value in state.values())
    first = load_model(tmp_path / "teacher-done.safetensors").model.state_dict()
    second = teacher.model.state_dict()
    head = [key for key in first if key.startswith("track_head.")]
    assert head and all(torch.equal(first[key], second[key]) for key in head)  # held still in the second phase
    assert any(not torch.equal(first[key], second[key]) for key in first)

    for folder in CLIP_FOLDERS:
        held_out, trained = drawn[folder, preset.probe_clips], drawn[folder, NUM_CLIPS - preset.probe_clips]
        assert len(held_out) == preset.probe_clips and trained and not held_out & trained

    for stage in ("teacher", "teacher-2", "causal", "student"):
        with (tmp_path / "log" / f"{stage}-gap.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["step"] for row in rows] == ["2"]
        assert all(float(rows[0][told]) > 0 for told in ("right", "none", "wrong"))
        video = VideoFrames(tmp_path / "videos" / f"{stage}_000002.mp4")
        # two clips, truth beside what was made
        side = preset.teacher.frame_size[0]
        frames = preset.teacher.vae_stride.num_frames(latent_frames(preset.teacher))
        assert (video.num_frames, video.height, video.width) == (frames, 2 * side, 2 * side)
        assert (tmp_path / "videos" / f"{stage}_000002.png").exists()
    listed = json.loads((tmp_path / "exports" / "student.json").read_text("utf-8"))
    assert [each["step"] for each in listed] == [2] and listed[0]["metrics"]["right"] > 0
    assert (tmp_path / "student-best.safetensors").read_bytes() == (tmp_path / "student.safetensors").read_bytes()

    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}
    WAN_STAGES["teacher"](run)  # finished: nothing is done again
    assert before == {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}


@NAMES
def test_the_tiny_decoder_that_is_trained_is_the_presets(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = narrow(WAN_PRESETS[name])
    preset = replace(preset, tiny_vae=replace(decoder_for(preset).config, decoder_widths=(9, 8, 8, 8)))
    monkeypatch.setattr(WanVae, "from_pretrained", lambda path: None)
    monkeypatch.setattr(wan_stages, "train_video_decoder", lambda training, engine, vae, *rest: vae)
    material = Material(model=tmp_path, videos=tmp_path)
    WAN_STAGES["tiny-vae"](WanRun(tmp_path, Compute(CPU), Log(tmp_path / "log"), preset, material))
    assert load_tiny_vae(tmp_path / "tiny_vae.safetensors").config == preset.tiny_vae


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    preset = WAN_PRESETS["wan2.1-1.3b"]
    run = WanRun(tmp_path, Compute(CPU), Log(tmp_path / "log"), preset, Material(videos=tmp_path / "none"))
    with pytest.raises(ValueError, match="needs --base"):
        WAN_STAGES["teacher"](run)
    with pytest.raises(FileNotFoundError, match=r"--videos .*none does not exist"):
        WAN_STAGES["prepare"](run)
    with pytest.raises(FileNotFoundError, match="run the stage 'prepare'"):
        WAN_STAGES["ode"](run)


def test_every_shard_is_prepared_by_one_rank_of_one_machine() -> None:
    """Three machines with four GPUs each, and one without torchrun."""
    parts = [Material(part=(machine, 3)).share(rank, 4) for machine in range(3) for rank in range(4)]
    taken = [number for index, count in parts for number in range(100) if number % count == index]
    assert sorted(taken) == list(range(100))
    assert Material().share(0, 1) == (0, 1)
