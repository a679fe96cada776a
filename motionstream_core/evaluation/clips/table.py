"""The figures of a run as rows: per clip, in total, and the paper's beside them; as CSV, and as text for a terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...files import write_text
from .runs import OWN, ClipResult

COLUMNS = {
    "psnr_db": ("PSNR, dB", 2),
    "ssim": ("SSIM", 3),
    "lpips": ("LPIPS", 3),
    "epe_px": ("EPE, px", 2),
    "epe_832_px": ("EPE at 832", 2),
    "followed": ("followed", 2),
    "frames_per_second": ("frames/s", 1),
    "latency_s": ("s per chunk", 2),
    "first_frame_s": ("first frame, s", 2),
}
PAPER_WIDTH_PX = 832
Row = tuple[str, dict[str, float | None]]
NAMES = {
    OWN: "this model, the clip's own tracks",
    "mirrored": "counterfactual: mirrored",
    "pan": "counterfactual: pan",
    "zoom": "counterfactual: zoom",
    "dense": "counterfactual: one region dragged",
    "handle": "counterfactual: one handle dragged",
    "other": "counterfactual: another clip's tracks",
    "still": "bound: first frame held",
    "vae": "bound: true clip through the VAE",
}


def named(variant: str) -> str:
    """A variant in words; a memory (`memories`) is called as the paper calls it."""
    return NAMES.get(variant, f"memory {variant}")


@dataclass(frozen=True)
class PaperFigure:
    """A row of the tables of "MotionStream" (arXiv 2511.01266) for its models of 1.3B.

    PSNR in dB, SSIM, LPIPS, EPE in px of 832x480, frames a second, seconds per chunk.
    """

    what: str
    psnr_db: float | None = None
    ssim: float | None = None
    lpips: float | None = None
    epe_px: float | None = None
    frames_per_second: float | None = None
    latency_s: float | None = None


PAPER = (
    PaperFigure("paper: teacher 1.3B, DAVIS", 16.61, 0.477, 0.427, 5.35),
    PaperFigure("paper: student 1.3B, DAVIS", 16.20, 0.447, 0.443, 7.80),
    PaperFigure("paper: teacher 1.3B, Sora clips", 17.82, 0.586, 0.333, 2.71),
    PaperFigure("paper: student 1.3B, Sora clips", 16.67, 0.531, 0.360, 4.21),
    PaperFigure("paper: ATI 14B, DAVIS", epe_px=17.41),
    PaperFigure("paper: student 1.3B, one H100, full VAE", frames_per_second=16.7, latency_s=0.69),
    PaperFigure("paper: student 1.3B, one H100, tiny VAE", frames_per_second=29.5, latency_s=0.39),
)
PAPER_MEMORIES = (
    PaperFigure("paper: memory c3s1w1, 241 frames", lpips=0.464, epe_px=25.34, frames_per_second=16.92, latency_s=0.70),
    PaperFigure("paper: memory c3s0w1, 241 frames", lpips=0.501, epe_px=26.64),
    PaperFigure("paper: memory c3s0w6, 241 frames", lpips=0.480, epe_px=28.09),
    PaperFigure("paper: memory c1s1w1, 241 frames", lpips=0.597, epe_px=76.21),
)
PAPER_CAMERA = (
    PaperFigure("paper: teacher 1.3B, LLFF", 16.0, 0.42, 0.21),
    PaperFigure("paper: student 1.3B, LLFF", 15.7, 0.38, 0.23),
)


def clip_rows(results: Sequence[ClipResult], width_px: int) -> list[tuple[ClipResult, str, dict[str, float | None]]]:
    """(clip, variant, figures) of everything that was measured; EPE also as it would be at the paper's width."""
    rows = []
    for result in results:
        for variant in _ordered(result.variants):
            rows.append((result, variant, _at_papers_width(result.variants[variant], width_px)))
    return rows


def total_rows(results: Sequence[ClipResult], width_px: int) -> list[Row]:
    """Means over the clips, every clip weighing the same: `_ordered`."""
    grouped: dict[str, list[dict[str, float | None]]] = {}
    for _, variant, figures in clip_rows(results, width_px):
        grouped.setdefault(variant, []).append(figures)
    return [
        (
            f"{named(variant)} ({len(grouped[variant])} clip{'s' * (len(grouped[variant]) != 1)})",
            _mean(grouped[variant]),
        )
        for variant in _ordered(grouped)
    ]


def mean_figures(results: Sequence[ClipResult], variant: str, width_px: int) -> dict[str, float | None]:
    """Of one variant, over the clips that have it."""
    return _mean([figures for _, each, figures in clip_rows(results, width_px) if each == variant])


def _ordered(variants: Mapping[str, object]) -> list[str]:
    """The model first, then counterfactuals, then bounds, then memories as they were asked for."""
    return [*(name for name in NAMES if name in variants), *(name for name in variants if name not in NAMES)]


def paper_rows(results: Sequence[ClipResult]) -> list[Row]:
    """The paper's rows for the kind of footage that was judged."""
    scenes = any(result.layout == "scenes" for result in results)
    rows = []
    memories = any(name not in NAMES for result in results for name in result.variants)
    for figure in (*(PAPER_CAMERA if scenes else ()), *PAPER, *(PAPER_MEMORIES if memories else ())):
        values = asdict(figure)
        rows.append((str(values.pop("what")), {**values, "epe_832_px": values["epe_px"]}))
    return rows


def write_csv(path: Path, results: Sequence[ClipResult], width_px: int) -> None:
    """One line per clip and variant, and one per skipped clip with the reason; replaced whole."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["clip", "layout", "frames", "tracks", "variant", *COLUMNS, "skipped"])
    for result, variant, figures in clip_rows(results, width_px):
        values = ["" if (value := figures.get(name)) is None else f"{value:.6g}" for name in COLUMNS]
        writer.writerow([result.name, result.layout, result.num_frames, result.num_tracks, variant, *values, ""])
    for result in results:
        if result.skipped is not None:
            empty = [""] * (len(COLUMNS) + 1)
            writer.writerow([result.name, result.layout, "", "", *empty, result.skipped])
    write_text(path, text.getvalue())


def text_table(rows: Sequence[Row]) -> str:
    """Markdown, with the columns in which any row has a figure."""
    shown = [name for name in COLUMNS if any(figures.get(name) is not None for _, figures in rows)]
    lines = ["| | " + " | ".join(COLUMNS[name][0] for name in shown) + " |", "|---|" + "---:|" * len(shown)]
    lines += [f"| {what} | " + " | ".join(cell(figures, name) for name in shown) + " |" for what, figures in rows]
    return "\n".join(lines)


def cell(figures: dict[str, float | None], name: str) -> str:
    """A figure as it is shown, empty where there is none."""
    value = figures.get(name)
    return "" if value is None else f"{value:.{COLUMNS[name][1]}f}"


def _at_papers_width(figures: dict[str, float | None], width_px: int) -> dict[str, float | None]:
    epe = figures.get("epe_px")
    return {**figures, "epe_832_px": None if epe is None else epe * PAPER_WIDTH_PX / width_px}


def _mean(rows: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    mean: dict[str, float | None] = {}
    for name in COLUMNS:
        values = [value for row in rows if (value := row.get(name)) is not None]
        mean[name] = float(np.mean(values)) if values else None
    return mean
