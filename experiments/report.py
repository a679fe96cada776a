"""docs/results.md from the stored results alone: tables, plots, and what a reader should make of them.

What is read from the numbers is written by hand in experiments/results/EXPERIMENT.md; everything else is generated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .record import read
from .tables import Row, by_case, cell, markdown, pick, values_of

Section = Callable[[dict[str, Any]], list[str]]


def _bounds(result: dict[str, Any]) -> list[str]:
    rows = result["rows"]
    lines = []
    for title, key, digits, percent in (
        ("Error of object centres (EPE), px", "epe_px", 2, False),
        ("Objects that the judge no longer finds", "lost", 1, True),
        ("PSNR, dB", "psnr_db", 2, False),
        ("SSIM", "ssim", 3, False),
    ):
        lines += [f"{title}:", "", *by_case(rows, key, "model", digits, percent), ""]
    return lines


def _track_slot(result: dict[str, Any]) -> list[str]:
    rows = result["rows"]
    lines = []
    for slot, title in (("newhead", "track head"), ("rgb", "tracks as pictures, VAE")):
        mine = pick(rows, slot=slot)
        for kind in values_of(mine, "case"):
            chosen = pick(mine, case=kind)
            lines.append([title, kind, cell(chosen, "epe_px"), cell(chosen, "psnr_db"), cell(chosen, "ssim", 3)])
    timing = [
        [title, *(cell(pick(rows, slot=slot, part=part), "ms", 1) for part in ("clip", "chunk"))]
        for slot, title in (("newhead", "track head"), ("rgb", "tracks as pictures, VAE"))
    ]
    return [
        *markdown(["track slot", "case", "EPE px", "PSNR dB", "SSIM"], lines),
        "",
        f"CPU time of the conditioning for {result['settings']['tracks_timed']} tracks at 64 x 64 px:",
        "",
        *markdown(["track slot", "ms per clip of 49 frames", "ms per chunk of 12 frames"], timing),
    ]


def _coordinates(result: dict[str, Any]) -> list[str]:
    rows = result["rows"]
    lines = []
    for kind in values_of(rows, "case"):
        for rule in values_of(rows, "coordinates"):
            mine = pick(rows, case=kind, coordinates=rule)
            quality = [cell(mine, "epe_px"), cell(mine, "lost", 1, True), cell(mine, "psnr_db"), cell(mine, "ssim", 3)]
            lines.append([kind, rule, *quality])
    return markdown(["case", "coordinates", "EPE px", "lost", "PSNR dB", "SSIM"], lines)


def _guidance_grid(result: dict[str, Any]) -> list[str]:
    rows = result["rows"]
    effects = [name for name in rows[0] if name not in ("kind", "clips", "all")]
    accuracy = [
        [row["clips"], cell([row], "all", 0, True), *(cell([row], name, 0, True) for name in effects)]
        for row in pick(rows, kind="classifier")
    ]
    grid = pick(rows, kind="grid")
    paper = result["settings"]["paper_point"]
    lines = []
    for text in values_of(grid, "text_weight"):
        for motion in values_of(grid, "motion_weight"):
            mine = pick(grid, text_weight=text, motion_weight=motion)
            mark = "**" if [text, motion] == paper else ""
            measured = [cell(mine, "epe_px"), cell(mine, "lost", 1, True), cell(mine, "adherence", 0, True)]
            shares = [cell(mine, name, 0, True) for name in effects]
            lines.append([f"{mark}{text:g}{mark}", f"{mark}{motion:g}{mark}", *measured, *shares])
    return [
        "The classifier of the captions' effects on held-out clips (share recognised):",
        "",
        *markdown(["clips", "all", *effects], accuracy),
        "",
        "The grid; the paper's point is bold. w_t = 0: pure motion guidance; w_m = 0: pure text; both 0: none.",
        "",
        *markdown(["w_t", "w_m", "EPE px", "lost", "caption obeyed", *effects], lines),
        "",
        "![Error of objects against caption adherence](images/results/guidance.png)",
    ]


def _sink_window(result: dict[str, Any]) -> list[str]:
    rows = result["rows"]
    lines = []
    for name in values_of(rows, "variant"):
        mine = pick(rows, variant=name)
        whole, parts = pick(mine, part="all"), values_of(mine, "part")
        first, last = pick(mine, part=parts[1]), pick(mine, part=parts[-1])
        shown = [cell(whole, "epe_px"), cell(first, "epe_px"), cell(last, "epe_px")]
        shown += [cell(first, "psnr_db"), cell(last, "psnr_db"), cell(last, "lost", 0, True)]
        shown += [cell(whole, "chunk_ms", 1), cell(whole, "jitter_ms", 1)]
        lines.append([name, *shown])
    header = ["variant", "EPE px", "first eighth", "last eighth", "PSNR dB, first eighth", "last eighth"]
    header += ["lost, last eighth", "chunk ms", "jitter ms"]
    return [*markdown(header, lines), "", "![Quality against time](images/results/sink_window.png)"]


def _chunk_size(result: dict[str, Any]) -> list[str]:
    rows = result["rows"]
    lines = []
    for size in values_of(rows, "chunk_frames"):
        for steps in values_of(rows, "steps"):
            mine = pick(rows, chunk_frames=size, steps=steps)
            quality = [cell(mine, "epe_px"), cell(mine, "lost", 0, True), cell(mine, "psnr_db"), cell(mine, "ssim", 3)]
            lines.append(
                [str(size), str(steps), *quality, cell(mine, "chunk_ms", 1), cell(mine, "frames_per_second", 0)]
            )
    header = ["latent frames per chunk", "steps", "EPE px", "lost", "PSNR dB", "SSIM", "chunk ms", "frames per second"]
    return [*markdown(header, lines), "", "![Quality against latency](images/results/chunk_size.png)"]


def _release(result: dict[str, Any]) -> list[str]:
    rows = result["rows"]
    lines = []
    for name in values_of(rows, "model"):
        mine = pick(rows, model=name)
        shown = [cell(mine, "lost", 1, True), cell(mine, "strayed_px"), cell(mine, "step_px")]
        lines.append([name, *shown, cell(mine, "psnr_db"), cell(mine, "background_db")])
    header = ["teacher", "lost after the release", "strayed px", "largest step px", "PSNR to rest dB", "background dB"]
    return markdown(header, lines)


def _distillation(result: dict[str, Any]) -> list[str]:
    rows = result["rows"]
    slowest = max(_mean(pick(rows, model=name), "ms_per_frame") for name in values_of(rows, "model"))
    lines = []
    for name in values_of(rows, "model"):
        mine = pick(rows, model=name)
        quality = [cell(mine, "epe_px"), cell(mine, "lost", 1, True), cell(mine, "psnr_db"), cell(mine, "ssim", 3)]
        ratio = f"{slowest / _mean(mine, 'ms_per_frame'):.1f} x"
        lines.append([name, *quality, cell(mine, "ms_per_frame", 1), ratio])
    return markdown(["model", "EPE px", "lost", "PSNR dB", "SSIM", "CPU ms per frame", "speed"], lines)


def _mean(rows: Sequence[Row], key: str) -> float:
    return sum(row[key] for row in rows) / len(rows)


SECTIONS: dict[str, tuple[str, Section]] = {
    "bounds": ("Teacher and student between their bounds", _bounds),
    "track_slot": ("Track head or tracks as pictures", _track_slot),
    "coordinates": ("A point's cell or its share of four", _coordinates),
    "guidance_grid": ("Joint guidance", _guidance_grid),
    "sink_window": ("Sink and window", _sink_window),
    "chunk_size": ("Chunk size and steps", _chunk_size),
    "release": ("Letting go in mid-clip", _release),
    "distillation": ("What distillation costs and gains", _distillation),
}


def render(results: Path) -> str:
    """docs/results.md of the results stored in a folder."""
    lines = ["# Results", "", "Generated by `make results` from `experiments/results/`; do not edit.", ""]
    lines += _reading(results, "introduction")
    for name, (title, section) in SECTIONS.items():
        result = read(results, name)
        if result is None:
            continue
        maker, settings = result["made_with"], result["settings"]
        knobs = ", ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in settings.items())
        lines += [f"## {title}", "", f"    {result['command']}", ""]
        lines += [f"{maker['hardware']}, PyTorch {maker['torch']}; {knobs}.{_repetitions(result['rows'])}", ""]
        lines += [*section(result), ""]
        lines += _reading(results, name)
    return "\n".join(lines).rstrip() + "\n"


def _repetitions(rows: Sequence[Row]) -> str:
    """What the spread is over: trainings, or samplings of one training."""
    said = []
    runs = values_of([row for row in rows if row.get("run")], "run")
    for kind in dict.fromkeys(run.rpartition("-")[0] for run in runs):
        trained = [run for run in runs if run.rpartition("-")[0] == kind]
        sampled = len(values_of([row for row in rows if row.get("run") == trained[0]], "seed"))
        said.append(
            f"{len(trained)} trainings of {kind}" if len(trained) > 1 else f"{sampled} samplings of {trained[0]}"
        )
    return f" Repetitions: {', '.join(said)}." if said else ""


def _plain(value: Any) -> str:
    return " and ".join(f"{each:g}" for each in value) if isinstance(value, list) else f"{value}"


def _reading(results: Path, name: str) -> list[str]:
    path = results / f"{name}.md"
    return [path.read_text("utf-8").strip(), ""] if path.exists() else []
