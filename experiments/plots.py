"""Plots of stored results, as PNG files for docs/results.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .judging import mean_spread
from .record import read
from .tables import pick, values_of


def draw_plots(results: Path, folder: Path) -> list[Path]:
    """Draw every plot whose results are stored. Raises ImportError where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("the plots need matplotlib; pip install matplotlib") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, experiment, draw in (
        ("guidance", "guidance_grid", _guidance),
        ("sink_window", "sink_window", _sink_window),
        ("chunk_size", "chunk_size", _chunk_size),
    ):
        result = read(results, experiment)
        if result is None:
            continue
        figure = draw(pyplot, result)
        figure.tight_layout()
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=110, metadata={"Software": None})
        pyplot.close(figure)
        drawn.append(path)
    return drawn


def _mean(rows: Any, key: str) -> float:
    return mean_spread([row[key] for row in rows])[0]


def _guidance(pyplot: Any, result: dict[str, Any]) -> Any:
    grid = pick(result["rows"], kind="grid")
    figure, axes = pyplot.subplots(figsize=(6, 4))
    for motion in values_of(grid, "motion_weight"):
        xs, ys, labels = [], [], []
        for text in values_of(grid, "text_weight"):
            mine = pick(grid, text_weight=text, motion_weight=motion)
            xs.append(_mean(mine, "epe_px"))
            ys.append(100 * _mean(mine, "adherence"))
            labels.append(f"{text:g}")
        axes.plot(xs, ys, "o-", label=f"motion weight {motion:g}")
        for x, y, label in zip(xs, ys, labels, strict=True):
            axes.annotate(label, (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8)
    text, motion = result["settings"]["paper_point"]
    paper = pick(grid, text_weight=text, motion_weight=motion)
    if paper:
        place = ([_mean(paper, "epe_px")], [100 * _mean(paper, "adherence")])
        axes.plot(*place, "k*", markersize=15, zorder=5, label=f"paper ({text:g}, {motion:g})")
    axes.set_xlabel("error of object centres, px")
    axes.set_ylabel("caption obeyed, %")
    axes.legend(fontsize=8, title="numbers: text weight", title_fontsize=8)
    return figure


def _sink_window(pyplot: Any, result: dict[str, Any]) -> Any:
    rows = result["rows"]
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.4))
    frames, trained = result["settings"]["frames"], result["settings"]["trained_frames"]
    for axes, key, label in ((panels[0], "epe_px", "error of object centres, px"), (panels[1], "psnr_db", "PSNR, dB")):
        for name in values_of(rows, "variant"):
            mine = [row for row in pick(rows, variant=name) if row["part"] != "all"]
            parts = values_of(mine, "part")
            spread = [mean_spread([row[key] for row in pick(mine, part=part)]) for part in parts]
            middle = [(part + 0.5) * frames / len(parts) for part in parts]
            axes.errorbar(middle, [m for m, _ in spread], [s for _, s in spread], marker="o", capsize=2, label=name)
        axes.axvline(trained, color="grey", linestyle=":", label="training length")
        axes.set_xlabel("frame")
        axes.set_ylabel(label)
    panels[0].legend(fontsize=8)
    return figure


def _chunk_size(pyplot: Any, result: dict[str, Any]) -> Any:
    rows = result["rows"]
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.4))
    for size in values_of(rows, "chunk_frames"):
        mine = pick(rows, chunk_frames=size)
        steps = values_of(mine, "steps")
        error = [_mean(pick(mine, steps=each), "epe_px") for each in steps]
        for axes, key in ((panels[0], "chunk_ms"), (panels[1], "frames_per_second")):
            xs = [_mean(pick(mine, steps=each), key) for each in steps]
            axes.plot(xs, error, "o-", label=f"chunk {size}")
            for x, y, each in zip(xs, error, steps, strict=True):
                axes.annotate(str(each), (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8)
    panels[0].set_xlabel("CPU ms per chunk")
    panels[1].set_xlabel("frames per second")
    for axes in panels:
        axes.set_ylabel("error of object centres, px")
    panels[0].legend(fontsize=8, title="numbers: steps", title_fontsize=8)
    return figure
