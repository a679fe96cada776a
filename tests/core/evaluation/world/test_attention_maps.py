"""Where self-attention looks: shares that add up, counted by hand, and the picture of the bundled model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from motionstream_core.checkpoints import load_model, load_tiny_vae
from motionstream_core.evaluation.world.attention_maps import AttentionMass, student_map, teacher_map
from motionstream_core.evaluation.world.cases import held_out_case
from motionstream_core.models.attention import attention

WEIGHTS = Path(__file__).parents[4] / "motionstream_core" / "demo" / "weights"


def test_shares_are_those_of_a_softmax_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, frames * 2, 3, 4, generator=generator) for frames in (2, 5, 5))
    mass = AttentionMass(frame_tokens=2)
    assert torch.equal(mass(q, k, v), attention(q, k, v))
    (found,) = mass.maps
    assert found.shape == (3, 2, 5) and found.sum(-1) == pytest.approx(np.ones((3, 2)), abs=1e-5)
    for head in range(3):
        weights = (q[0, :, head] @ k[0, :, head].T / 2).exp()
        weights = weights / weights.sum(1, keepdim=True)
        assert found[head, 1, 4] == pytest.approx(float(weights[2:4, 8:].sum(1).mean()), abs=1e-5)


@pytest.mark.thorough
def test_the_bundled_models_maps_cover_what_they_see() -> None:
    vae = load_tiny_vae(WEIGHTS / "tiny_vae.safetensors")
    student, teacher = (load_model(WEIGHTS / f"{name}.safetensors", torch.float32) for name in ("student", "teacher"))
    before = student.model.attention
    case = held_out_case(0, "plain", 37)
    slots = student_map(student, vae, case)
    spec = student.spec
    assert slots.shape == (spec.backbone.num_layers * spec.backbone.num_heads, 1 + 3 + 3)
    assert slots.sum(1) == pytest.approx(np.ones(len(slots)), abs=1e-4)
    clip = teacher_map(teacher, vae, replace(case, clip=held_out_case(0, "plain", 13).clip))
    assert clip.shape == (4, 4) and clip.sum(1) == pytest.approx(np.ones(4), abs=1e-4)
    assert student.model.attention is before
