"""A student's memories as a picture: what is gained, and what is paid, chunk by chunk that it sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...files import new_file
from .memories import ChunkMemory
from .runs import ClipResult
from .table import COLUMNS, mean_figures

PANELS = ("psnr_db", "lpips", "epe_px", "frames_per_second")


def plot_memories(path: Path, results: Sequence[ClipResult], memories: Sequence[ChunkMemory], width_px: int) -> None:
    """A PNG: every figure over the window, a line for every chunk and sink. Needs matplotlib."""
    from matplotlib.figure import Figure

    rows = {each: mean_figures(results, each.name, width_px) for each in memories}
    shown = [name for name in PANELS if any(row[name] is not None for row in rows.values())]
    figure = Figure(figsize=(3.6 * len(shown), 3.3), layout="constrained")
    for name, axes in zip(shown, figure.subplots(1, len(shown), squeeze=False)[0], strict=True):
        for chunk, sink in sorted({(each.chunk_frames, each.sink_chunks) for each in memories}):
            line = sorted(each for each in memories if (each.chunk_frames, each.sink_chunks) == (chunk, sink))
            points = [(each.window_chunks, value) for each in line if (value := rows[each][name]) is not None]
            axes.plot(*zip(*points, strict=True), marker="o", label=f"c{chunk} s{sink}")
        axes.set(xlabel="chunks in the window", ylabel=COLUMNS[name][0])
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0].legend(title="chunk and sink", fontsize=8)
    with new_file(path) as file:
        figure.savefig(file, format="png", dpi=110)
