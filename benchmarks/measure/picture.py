"""What was measured, as a picture: a roofline, and every chunk's time."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def drawn(results: dict[str, Any], path: Path) -> Path:
    """Draw the cases of `benchmarks.stream` into `path`, a PNG; returns it.

    Raises ModuleNotFoundError without matplotlib.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5.5))
    intensities: list[float] = []
    for told in results["cases"]:
        name = " ".join(str(told[each]) for each in ("model", "layout", "steps", "vae", "dtype") if told[each])
        points = [
            (stage, each["TFLOP"] * 1e3 / each["GB moved"], each["TFLOP/s"])
            for stage, each in told["stages"].items()
            if each["TFLOP/s"]
        ]
        (line,) = left.plot([x for _, x, _ in points], [y for _, _, y in points], "o", label=name)
        for stage, x, y in points:
            left.annotate(stage, (x, y), textcoords="offset points", xytext=(5, 4), fontsize=7)
        left.axhline(told["matrix TFLOP/s"], color=line.get_color(), linewidth=0.8, linestyle=":")
        intensities += [x for _, x, _ in points]
        right.plot(told["chunks ms"], label=name, linewidth=1)
    slope = results["memory TB/s"]
    ends = [min(intensities) / 2, max(intensities) * 2]
    left.plot(ends, [x * slope for x in ends], color="grey", linewidth=0.8, label=f"memory, {slope} TB/s")
    left.set(xscale="log", yscale="log", xlabel="FLOP a byte, as the operations move them", ylabel="TFLOP/s")
    left.set_title("Stages, and what a matrix product reaches (dotted)", fontsize=10)
    right.set(xlabel="chunk", ylabel="ms", yscale="log")
    right.set_title("Every chunk", fontsize=10)
    for axes in (left, right):
        axes.grid(which="both", alpha=0.2)
        axes.legend(fontsize=7)
    versions = results["versions"]
    figure.suptitle(f"{results['device']['name']}, torch {versions['torch']}, commit {versions['commit']}", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
