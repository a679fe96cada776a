"""`python -m motionstream_core.evaluation`: the bundled model on the held-out world, as a table."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from ..checkpoints import load_model, load_tiny_vae
from ..streaming.stream import StreamSettings
from .world_cases import CASE_KINDS, Case, CaseKind, held_out_case
from .world_report import Generator, Score, Video, reference_generators, score, student_generator, teacher_generator

LONG_FRAMES = 193
FIRST, LAST = slice(0, 49), slice(LONG_FRAMES - 48, LONG_FRAMES)


def main() -> None:
    parser = argparse.ArgumentParser(prog="motionstream_core.evaluation", description=__doc__)
    parser.add_argument("--weights", type=Path, default=Path(__file__).parents[1] / "demo" / "weights")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--long-clips", type=int, default=16)
    parser.add_argument("--teacher-clips", type=int, default=64)
    parser.add_argument("--teacher-steps", type=int, default=16)
    parser.add_argument("--teacher-weights", type=float, nargs=2, default=(0.0, 1.0), metavar=("TEXT", "MOTION"))
    parser.add_argument("--out", type=Path, default=Path("outputs/evaluation.json"))
    given = parser.parse_args()
    vae = load_tiny_vae(given.weights / "tiny_vae.safetensors")
    student = load_model(given.weights / "student.safetensors", torch.float32)
    generators = dict(reference_generators(vae))
    generators["student"] = student_generator(student, vae)
    results: dict[str, dict[str, Score]] = {}
    for kind in CASE_KINDS:
        results[kind] = _row(kind, given.clips, generators)
    if given.teacher_clips and (given.weights / "teacher.safetensors").exists():
        teacher = load_model(given.weights / "teacher.safetensors", torch.float32)
        weights = given.teacher_weights
        sampled = {"teacher": teacher_generator(teacher, vae, given.teacher_steps, *weights)}
        for kind in CASE_KINDS:
            results[kind] |= _row(kind, given.teacher_clips, sampled)
    if given.long_clips:
        no_sink = StreamSettings(sink_frames=0, window_frames=student.spec.sink_frames + student.spec.window_frames)
        for name, generate in {
            "student": generators["student"],
            "student without sink": student_generator(student, vae, no_sink),
            "frozen": generators["frozen"],
        }.items():
            cases = [held_out_case(index, "plain", LONG_FRAMES) for index in range(given.long_clips)]
            videos = {id(case): generate(case) for case in cases}

            def seen(case: Case, videos: dict[int, Video] = videos) -> Video:  # one rollout serves both spans
                return videos[id(case)]

            for span, part in (("193: first 49", FIRST), ("193: last 48", LAST)):
                results.setdefault(span, {})[name] = score(cases, seen, part)
                print(f"{span:14} {name:22} {_text(results[span][name])}", flush=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({k: {n: asdict(s) for n, s in v.items()} for k, v in results.items()}, indent=1))
    print(table(results))


def _row(kind: CaseKind, count: int, generators: Mapping[str, Generator]) -> dict[str, Score]:
    cases = [held_out_case(index, kind) for index in range(count)]
    row = {}
    for name, generate in generators.items():
        row[name] = score(cases, generate)
        print(f"{kind:14} {name:22} {_text(row[name])}", flush=True)
    return row


def _text(value: Score) -> str:
    return (
        f"EPE {value.epe_px:6.2f} px  median {value.median_px:6.2f} px  lost {value.lost:6.1%}  "
        f"PSNR {value.psnr_db:5.2f} dB"
    )


def table(results: Mapping[str, Mapping[str, Score]]) -> str:
    """Markdown table: EPE in px (PSNR in dB) per case and generator."""
    names = list(dict.fromkeys(name for row in results.values() for name in row))
    lines = ["| case | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for kind, row in results.items():
        cells = [f"{row[n].epe_px:.2f} ({row[n].psnr_db:.1f})" if n in row else "" for n in names]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
