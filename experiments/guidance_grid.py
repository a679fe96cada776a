"""Joint guidance: obedience to tracks and to the caption over a grid of both weights (arXiv 2511.01266, Eq. 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from motionstream_core.evaluation.world.report import generate_all, teacher_generator
from motionstream_core.world import EFFECTS

from .effect_classifier import EffectClassifier, caption_effect, reconstruction, trained_classifier
from .judging import measure, study_cases, with_effect
from .runs import Study

TEXT_WEIGHTS = (0.0, 1.5, 3.0, 5.0)
MOTION_WEIGHTS = (0.0, 1.5, 3.0)
PAPER_POINT = (3.0, 1.5)
NUM_SCENES = 6
NUM_STEPS = 10


def classifier_accuracy(study: Study, classifier: EffectClassifier, num_clips: int) -> list[dict[str, Any]]:
    """Share of held-out clips whose effect is recognised, true and reconstructed, for each effect."""
    cases = study_cases(num_clips)
    wanted = torch.tensor([caption_effect(case.clip.caption) for case in cases])
    rows = []
    for shown, videos in (
        ("true", [case.clip.frames for case in cases]),
        ("vae", [reconstruction(study.vae, case.clip) for case in cases]),
    ):
        right = classifier.judge(videos) == wanted
        row: dict[str, Any] = {"kind": "classifier", "clips": shown, "all": right.float().mean().item()}
        for index, effect in enumerate(EFFECTS):
            row[effect] = right[wanted == index].float().mean().item()
        rows.append(row)
    return rows


def guidance_grid(
    study: Study,
    seeds: Sequence[int],
    text_weights: Sequence[float] = TEXT_WEIGHTS,
    motion_weights: Sequence[float] = MOTION_WEIGHTS,
    num_scenes: int = NUM_SCENES,
    num_steps: int = NUM_STEPS,
    classifier_clips: int = 960,
    judged_clips: int = 100,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of the grid and of the classifier's accuracy, and the settings.

    Every scene is asked for every effect, so a video that ignores its caption is right one time in four.
    """
    classifier = trained_classifier(study.folder / "effects.safetensors", study.vae, classifier_clips)
    rows = classifier_accuracy(study, classifier, judged_clips)
    cases = [with_effect(case, effect) for case in study_cases(num_scenes) for effect in EFFECTS]
    wanted = torch.tensor([caption_effect(case.clip.caption) for case in cases])
    for run, seed in study.repetitions("head", seeds):
        teacher = study.load(run)
        for text in text_weights:
            for motion in motion_weights:
                generate = teacher_generator(teacher, study.vae, num_steps, text, motion, seed)
                videos = generate_all(cases, generate, bf16=True)
                right = classifier.judge(videos) == wanted
                measures = measure(cases, videos)
                row = {"kind": "grid", "run": run, "seed": seed, "text_weight": text, "motion_weight": motion}
                row |= {
                    "epe_px": measures["epe_px"],
                    "lost": measures["lost"],
                    "adherence": right.float().mean().item(),
                }
                for index, effect in enumerate(EFFECTS):
                    row[effect] = right[wanted == index].float().mean().item()
                rows.append(row)
    return rows, {"scenes": num_scenes, "captions": len(EFFECTS), "steps": num_steps, "paper_point": list(PAPER_POINT)}
