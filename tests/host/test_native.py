"""Our MODEL as the host's own: core's samplers, LoRA, partial loads, SamplerARVideo, and no memory left behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from motionstream_core.checkpoints import ModelSpec, build_model, save_model
from motionstream_core.geometry import ChunkPlan
from motionstream_core.models.conditioning import InputLayout
from tests.core.tiny_models import TINY_TEACHER
from tests.host.comfy_host import ROOT, ComfyHost, host_python
from tests.host.test_nodes_in_host import inputs_of, shortened

pytestmark = pytest.mark.host

SCRIPT = Path(__file__).parent / "in_host" / "native_proof.py"
CHANNELS = 16
RUNS = 10


def specs() -> dict[str, ModelSpec]:
    """A narrow teacher, one that is pinned to its image, a student, and a student without image or tracks."""
    teacher = replace(
        TINY_TEACHER,
        backbone=replace(TINY_TEACHER.backbone, dim=48, in_channels=3 * CHANNELS + 4, out_channels=CHANNELS),
        layout=InputLayout((("noise", CHANNELS), ("mask", 4), ("image", CHANNELS), ("track", CHANNELS))),
        track_head=replace(TINY_TEACHER.track_head, out_channels=CHANNELS),  # type: ignore[type-var]
    )
    plain = replace(
        teacher,
        role="student",
        backbone=replace(teacher.backbone, in_channels=CHANNELS),
        layout=InputLayout((("noise", CHANNELS),)),
        track_head=None,
        image_rule="none",
        chunk_plan=ChunkPlan(3, 3),
    )
    return {
        "teacher": teacher,
        "pinned_teacher": replace(teacher, pin_first_latent=True),
        "student": replace(teacher, role="student", pin_first_latent=True),
        "grey_student": replace(teacher, role="student", image_rule="grey_clip", vocabulary=()),
        "plain_student": plain,
    }


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `native_proof.py` measured inside the host's own process."""
    checkout = os.environ.get("COMFYUI_PATH")
    if not checkout:
        pytest.skip("COMFYUI_PATH is not set: name a ComfyUI checkout (and its Python with COMFYUI_PYTHON)")
    folder = tmp_path_factory.mktemp("native")
    torch.manual_seed(0)
    for name, spec in specs().items():
        model = build_model(spec)
        for key, parameter in model.named_parameters():
            if "modulation" in key:
                torch.nn.init.normal_(parameter, std=0.5)
        if model.track_head is not None:
            model.track_head.initialise()
        save_model(folder / f"{name}.safetensors", model, spec)
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "pycache"), "PIP_NO_INDEX": "1"}
    done = subprocess.run(
        [host_python(), str(SCRIPT), str(Path(checkout).resolve()), str(ROOT), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("PROOF ")]
    assert lines, done.stderr[-4000:]
    return json.loads(lines[0].removeprefix("PROOF "))


def test_core_samples_the_teacher_as_we_do(proof: dict[str, Any]) -> None:
    found = proof["teacher_agrees"]
    assert found.pop("other weights differ") > 0.05
    assert max(found.values()) < 1e-5, found


def test_cores_schedulers_know_the_shift(proof: dict[str, Any]) -> None:
    """Core takes its levels from a table of 1000, we take them as they are."""
    assert proof["schedules"]["shift"] > 1
    assert proof["schedules"]["worst"] < 0.01


def test_the_passes_of_joint_guidance_go_through_as_one_batch(proof: dict[str, Any]) -> None:
    assert proof["batches"] == [3]


def test_a_lora_changes_what_our_own_merge_changes(proof: dict[str, Any]) -> None:
    found = proof["lora"]
    assert found["changes"] > 0.05
    assert max(found["diffusers"], found["kohya"]) < 1e-5, found


def test_loras_of_every_naming_change_what_the_documentation_says(proof: dict[str, Any]) -> None:
    """The table in docs/models.md: how many of 21 modules core's loader changes, and how many ours does."""
    found = dict(proof["lora_namings"])
    assert found.pop("lora.pt changes") > 0.05
    assert found.pop("lora.pt") < 1e-5
    assert "none.safetensors: this LoRA changes nothing of the model: it is for another one" in found.pop("foreign")
    assert found.pop("all") == 21
    rows = re.findall(r"^\| (.+?) \| `.+` \| (\d+) \| (\d+) \|", (ROOT / "docs" / "models.md").read_text("utf-8"), re.M)
    said = {name: {"core": int(core), "ours": int(ours)} for name, core, ours in rows}
    assert {name: {each: counts[each] for each in ("core", "ours")} for name, counts in found.items()} == said


@pytest.mark.parametrize("name", ["teacher", "student"])
def test_a_partial_load_gives_what_a_whole_one_gives(proof: dict[str, Any], name: str) -> None:
    """Every weight is changed by a patch, which a layer left behind must apply when it is used."""
    found = proof["partial"]
    assert found[f"{name} changes"] > 0.05
    assert found[f"{name} layers behind"] > 10
    assert found[f"{name} patches behind"] > 10
    assert found[name] < 1e-5, found


@pytest.mark.parametrize("name", ["teacher", "student"])
def test_attention_overrides_and_torch_compile_reach_every_pass(proof: dict[str, Any], name: str) -> None:
    found = proof["options"]
    assert found[f"{name} attention calls"] >= 8  # two layers, self and cross, two passes or more
    assert found[f"{name} graphs"] >= 1
    assert max(found[f"{name} attention"], found[f"{name} compiled"]) < 1e-5, found


def test_the_stream_is_the_same_inside_the_host(proof: dict[str, Any]) -> None:
    assert proof["student"]["float32"] < 1e-5
    assert proof["student"]["float8"] < 0.1


def test_samplerarvideo_streams_where_its_blocks_fit_and_says_why_not_elsewhere(proof: dict[str, Any]) -> None:
    found = proof["ar_video"]
    if "absent" in found:
        pytest.skip("this host has no SamplerARVideo")
    assert found["error"] < 1e-5
    assert "makes 3 first and then 3 at a time; set num_frame_per_block to 3" in found["other blocks"]
    assert "makes 1 first and then 3 at a time; SamplerARVideo's blocks are all equal" in found["unequal blocks"]


@pytest.mark.parametrize("kind", ["2.1", "2.2"])
def test_cores_vae_decodes_a_stream_as_it_decodes_the_whole(proof: dict[str, Any], kind: str) -> None:
    found = proof["full_vae"]
    assert found[f"{kind} varies"] > 0.01
    assert found[kind] < 1e-5
    assert found[f"{kind} beside another"] < 1e-5


def test_cores_vae_encodes_and_a_tiny_one_decodes(proof: dict[str, Any]) -> None:
    found = proof["two_vaes"]
    assert found["latents"] == 0
    assert found["frames"] < 1e-5
    assert found["frames differ"] > 0.05
    assert "load Wan's own VAE (Load VAE: wan_2.1_vae) and connect taew2_1 to decoder" in found["refused"]


def test_ten_runs_leave_memory_where_the_first_left_it(host: ComfyHost, example: dict[str, Any]) -> None:
    shortened(example, 13)
    seen = []
    for seed in range(RUNS + 1):
        inputs_of(example, "MotionStreamStudentStreamer")["seed"] = 1000 + seed
        host.run(example)
        host.post("/free", {"unload_models": True, "free_memory": True})  # every run loads all of it anew
        seen.append(host.memory_mib())
    assert max(seen[-3:]) - max(seen[:2]) < 40, seen
