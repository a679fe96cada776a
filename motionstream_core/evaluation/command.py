"""`python -m motionstream_core.evaluation`: the bundled model on the held-out world, as a table."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..checkpoints import LoadedModel, load_model, load_tiny_vae
from ..entry import Command
from ..files import write_text
from ..media.credentials import png_text
from ..media.video_file import VideoFile
from ..models.vae.tiny_vae import TinyVae
from ..options import real, whole
from ..streaming.stream import StreamSettings
from ..tracks import contact_sheet
from .world.attention_maps import save_attention_maps
from .world.cases import CASE_KINDS, Case, held_out_case
from .world.endurance import Second, endure, looping_case
from .world.report import (
    Score,
    Video,
    case_tracks,
    generate_all,
    reference_generators,
    score,
    student_generator,
    teacher_generator,
)

LONG_FRAMES = 193
FPS, EXPORT_CRF = 16, 8
ATTENTION_FRAMES = 49
SHEET_CLIPS = 6
FIRST, LAST = slice(0, 49), slice(LONG_FRAMES - 48, LONG_FRAMES)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What it reads."""
    parser.add_argument("--weights", type=Path, default=Path(__file__).parents[1] / "demo" / "weights")
    parser.add_argument("--clips", type=whole(1, 100_000), default=64)
    parser.add_argument("--long-clips", type=whole(0, 100_000), default=16)
    parser.add_argument("--teacher-steps", type=whole(1, 1000), default=16)
    parser.add_argument(
        "--teacher-weights", type=real(-100, 100), nargs=2, default=(0.0, 1.0), metavar=("TEXT", "MOTION")
    )
    parser.add_argument("--jobs", type=whole(1, 1024), default=os.cpu_count() or 1, help="clips at a time")
    parser.add_argument(
        "--out", type=Path, default=Path("outputs/evaluation"), help="folder of the table and the sheets"
    )
    parser.add_argument(
        "--minutes", type=real(0.1, 10_000), help="instead: one stream of this length, to see whether it drifts"
    )
    parser.add_argument(
        "--export",
        type=whole(1, 1_000_000),
        metavar="FRAMES",
        help="instead: the held-out plain clips as videos of so many frames with captions, for `motionstream evaluate`",
    )
    parser.add_argument("--attention", action="store_true", help="instead: attention.png, where self-attention looks")
    parser.add_argument("--bf16", action="store_true", help="compute in bf16: quicker where the processor has it")


def evaluate_bundled(args: argparse.Namespace) -> None:
    """`python -m motionstream_core.evaluation`."""
    if args.export is not None:
        export_clips(args.out, args.clips, args.export)
        print(f"{args.clips} clips of {args.export} frames in {args.out}")
        return
    vae = load_tiny_vae(args.weights / "tiny_vae.safetensors")
    student = load_model(args.weights / "student.safetensors", torch.float32)
    if args.minutes is not None:
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            endurance(student, vae, args.minutes, args.out)
        return
    teacher = load_model(args.weights / "teacher.safetensors", torch.float32)
    if args.attention:
        case = held_out_case(0, "plain", ATTENTION_FRAMES)
        save_attention_maps(teacher, student, vae, case, args.out / "attention.png")
        print(args.out / "attention.png")
        return
    generators = {
        **reference_generators(vae),
        "student": student_generator(student, vae),
        "teacher": teacher_generator(teacher, vae, args.teacher_steps, *args.teacher_weights),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Score]] = {}
    for kind in CASE_KINDS:
        cases = [held_out_case(index, kind) for index in range(args.clips)]
        for name, generate in generators.items():
            videos = generate_all(cases, generate, args.jobs, args.bf16)
            _record(results, kind, name, score(cases, videos))
            if name in ("student", "teacher"):
                save_sheets(args.out / f"{kind}_{name}.png", cases[:SHEET_CLIPS], videos)
    no_sink = StreamSettings(sink_frames=0, window_frames=student.spec.sink_frames + student.spec.window_frames)
    long_generators = {
        "frozen": generators["frozen"],
        "student": generators["student"],
        "student without sink": student_generator(student, vae, no_sink),
    }
    cases = [held_out_case(index, "plain", LONG_FRAMES) for index in range(args.long_clips)]
    for name, generate in long_generators.items() if cases else ():
        videos = generate_all(cases, generate, args.jobs, args.bf16)
        _record(results, "193 frames: first 49", name, score(cases, videos, FIRST))
        _record(results, "193 frames: last 48", name, score(cases, videos, LAST))
        save_sheets(args.out / f"long_{name.replace(' ', '_')}.png", cases[:SHEET_CLIPS], videos)
    values = {kind: {name: asdict(value) for name, value in row.items()} for kind, row in results.items()}
    write_text(args.out / "scores.json", json.dumps(values, indent=1))
    print(table(results))


def export_clips(folder: Path, num_clips: int, num_frames: int) -> None:
    """A folder that `motionstream evaluate` reads: `plain_00000.mp4` and so on, nearly lossless, and their captions."""
    folder.mkdir(parents=True, exist_ok=True)
    captions = {}
    for index in range(num_clips):
        clip, name = held_out_case(index, "plain", num_frames).clip, f"plain_{index:05d}"
        with VideoFile(folder / f"{name}.mp4", FPS, crf=EXPORT_CRF) as file:
            file.push(torch.from_numpy(clip.frames).float() / 255)
        captions[name] = clip.caption
    write_text(folder / "captions.json", json.dumps(captions, indent=1))


def endurance(student: LoadedModel, vae: TinyVae, minutes: float, out: Path) -> None:
    """One long stream: `endurance.csv` and `endurance_plot.png` second by second, `endurance.png` of single seconds.

    In the picture every second has two rows, true frames above generated ones. The plot needs matplotlib.
    """
    num_seconds, loop = round(minutes * 60), looping_case()
    wanted = [second for second in (0, 60, 300, 600) if second < num_seconds - 1]
    shown = [*wanted, num_seconds - 1]
    out.mkdir(parents=True, exist_ok=True)
    seconds, kept = endure(student, vae, loop, num_seconds, keep_seconds=shown)
    rows = ["second,background_psnr_db,epe_px,lost"]
    rows += [f"{s.second},{s.background_psnr_db:.3f},{s.epe_px:.3f},{s.lost:.3f}" for s in seconds]
    write_text(out / "endurance.csv", "\n".join(rows) + "\n")
    sheet = []
    for second in shown:
        place = loop.frame(np.arange(second * 16, second * 16 + 16))
        for frames in (loop.clip.frames[place], kept[second]):
            sheet.append(np.concatenate(list(frames[::2]), axis=1))
    Image.fromarray(np.concatenate(sheet)).save(out / "endurance.png", pnginfo=png_text())
    plot_endurance(seconds, out / "endurance_plot.png")
    for first in range(0, num_seconds, 60):
        part = seconds[first : first + 60]
        psnr, epe, lost = (
            np.mean([getattr(s, name) for s in part]) for name in ("background_psnr_db", "epe_px", "lost")
        )
        print(f"minute {first // 60}: background {psnr:.1f} dB, EPE {epe:.2f} px, lost {lost:.1%}")


def plot_endurance(seconds: Sequence[Second], path: Path) -> None:
    """Background PSNR against the first second, and the error of the objects, over the stream's minutes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.4), layout="constrained")
    minutes = [second.second / 60 for second in seconds]
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(minutes, [second.background_psnr_db for second in seconds], linewidth=0.6)
    above.set(ylabel="background, dB", ylim=(0, None))
    below.plot(minutes, [second.epe_px for second in seconds], linewidth=0.6)
    below.set(ylabel="objects, px", xlabel="minutes of stream", ylim=(0, None))
    figure.savefig(path, dpi=110)


def _record(results: dict[str, dict[str, Score]], kind: str, name: str, value: Score) -> None:
    results.setdefault(kind, {})[name] = value
    text = (
        f"EPE {value.epe_px:6.2f} px  median {value.median_px:6.2f} px  lost {value.lost:6.1%}  "
        f"PSNR {value.psnr_db:5.2f} dB"
    )
    print(f"{kind:20} {name:22} {text}", flush=True)


def save_sheets(path: Path, cases: list[Case], videos: list[Video]) -> None:
    """One picture: for every case a row of generated frames above a row of true ones, with the input tracks."""
    rows = []
    for case, video in zip(cases, videos, strict=False):
        for frames in (video, case.clip.frames):
            sheet = contact_sheet(
                torch.from_numpy(frames.copy()), case_tracks(case), columns=9, num_cells=9, cell_width=128
            )
            rows.append(sheet.numpy())
    Image.fromarray(np.concatenate(rows)).save(path)


def table(results: Mapping[str, Mapping[str, Score]]) -> str:
    """Markdown table: EPE in px (PSNR in dB) per case and generator."""
    names = list(dict.fromkeys(name for row in results.values() for name in row))
    lines = ["| case | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for kind, row in results.items():
        cells = [f"{row[n].epe_px:.2f} ({row[n].psnr_db:.1f})" if n in row else "" for n in names]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


COMMAND = Command("The bundled model on the held-out world, as a table.", add_options, evaluate_bundled)
