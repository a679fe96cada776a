"""A study in small: bundled models of one thin layer with random weights, a few clips, one step for every training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from experiments.runs import Study
from experiments.trainings import Recipes
from motionstream_core.checkpoints import build_model, save_model, save_tiny_vae
from motionstream_core.models.vae.tiny_vae import TinyVae, TinyVaeConfig
from motionstream_core.training.recipes.bundled_specs import STUDENT_SPEC, TEACHER_SPEC
from motionstream_core.training.stages.teacher import TeacherTraining

VAE = TinyVaeConfig(
    latent_channels=16,
    patch_size=2,
    decoder_widths=(16, 16, 8, 8),
    encoder_width=16,
    decoder_space_upscale=(True, True, False),
    encoder_space_downscale=(True, True, False),
)


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """What its models make means nothing, but has the right shapes."""
    torch.manual_seed(0)
    weights = Path(tmp_path_factory.mktemp("weights"))
    save_tiny_vae(weights / "tiny_vae.safetensors", TinyVae(VAE))
    for spec in (TEACHER_SPEC, STUDENT_SPEC):
        thin = replace(spec, backbone=replace(spec.backbone, dim=32, ffn_dim=32, num_heads=1, num_layers=1))
        save_model(weights / f"{spec.role}.safetensors", build_model(thin), thin)
    return Study(Path(tmp_path_factory.mktemp("study")), weights)


@pytest.fixture(scope="session")
def small_recipes() -> Recipes:
    """One step each."""
    whole = Recipes()

    def short(training: TeacherTraining) -> TeacherTraining:
        phase = replace(training.phases[0], num_steps=1, batch_size=2)
        return replace(training, phases=(phase,))

    student = replace(whole.student, num_steps=1, batch_size=2)
    return Recipes(short(whole.teacher), short(whole.slot), short(whole.second), student, num_clips=4)
