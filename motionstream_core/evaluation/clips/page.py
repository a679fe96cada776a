"""The report of a run as one HTML page beside its videos: it needs nothing from elsewhere, and runs no script."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from ...files import write_text
from .runs import BOUNDS, OWN, ClipResult
from .table import COLUMNS, NAMES, Row, cell, clip_rows, named, paper_rows, total_rows

STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #777; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; margin: 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; }
tr.own td { font-weight: 600; } tr.paper td, .quiet { color: var(--quiet); }
.wide { overflow-x: auto; }
.videos { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: 1rem; margin: 1rem 0; }
img { max-width: 100%; } figure { margin: 0; }
video { width: 100%; border-radius: 4px; background: #000; display: block; }
figcaption { font-size: .85rem; padding-top: .25rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dd { margin: 0; }
"""
READING = """
PSNR, SSIM and LPIPS compare with the true clip, over all frames after the first, which is given. EPE is the mean
distance between the visible told points and where the tracker finds them in the video, in px of this run's frames;
"EPE at 832" is the same at the paper's width. "Followed" is the share of those points that the tracker still sees:
where it is low, the EPE says little. Counterfactual rows keep image, prompt and seed and change the tracks; a model
that knows the clips and not the tracks fails there. The paper's rows are comparable only for its clips at 832x480 with
CoTracker3.
"""


def write_page(
    path: Path,
    results: Sequence[ClipResult],
    about: Mapping[str, str],
    width_px: int,
    notes: Sequence[str] = (),
    plot: Path | None = None,
) -> None:
    """`path` with totals beside the paper's figures, then every clip with its videos, which lie in `clips/` beside it.

    about: what was judged and how, shown as a list. plot: a picture beside the page. The file is replaced whole.
    """
    totals = total_rows(results, width_px)
    model = next((what for what, _ in totals if what.startswith(NAMES[OWN])), "")
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Evaluation</title><style>{STYLE}</style>",
        "<h1>Evaluation</h1>",
        "<dl>" + "".join(f"<dt class=quiet>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in about.items()) + "</dl>",
        "<h2>All clips</h2>",
        _table([(what, row, "own" if what == model else "") for what, row in totals], paper_rows(results)),
        f"<p class=quiet>{READING.strip()}</p>",
    ]
    parts += [f"<p class=quiet>{_text(note)}</p>" for note in notes]
    if plot is not None:
        parts.append(f"<p><img src='{quote(plot.name)}' alt='Sinks and windows'></p>")
    parts += [_clip(result, width_px) for result in results if result.skipped is None]
    skipped = [result for result in results if result.skipped is not None]
    if skipped:
        items = "".join(f"<li>{_text(each.name)}: {_text(each.skipped or '')}</li>" for each in skipped)
        parts.append(f"<h2>Skipped</h2><ul>{items}</ul>")
    write_text(path, "\n".join(parts))


def _table(rows: Sequence[tuple[str, dict[str, float | None], str]], paper: Sequence[Row] = ()) -> str:
    every = [*rows, *((what, row, "paper") for what, row in paper)]
    shown = [name for name in COLUMNS if any(row.get(name) is not None for _, row, _ in every)]
    head = "<tr><th></th>" + "".join(f"<th>{COLUMNS[name][0]}</th>" for name in shown) + "</tr>"
    body = "".join(
        f"<tr class='{kind}'><td>{_text(what)}</td>" + "".join(f"<td>{cell(row, n)}</td>" for n in shown) + "</tr>"
        for what, row, kind in every
    )
    return f"<div class=wide><table>{head}{body}</table></div>"


def _clip(result: ClipResult, width_px: int) -> str:
    rows = [(named(variant), row, "own" if variant == OWN else "") for _, variant, row in clip_rows([result], width_px)]
    videos = "".join(_video(result.name, variant) for variant in result.variants if variant not in BOUNDS)
    prompt = f"prompt: {result.caption}" if result.caption else "no prompt"
    facts = [f"{result.num_frames} frames, {result.num_tracks} tracks", prompt, *result.notes]
    return (
        f"<h2>{_text(result.name)}</h2><p class=quiet>{_text('; '.join(facts))}</p>"
        f"<div class=videos>{videos}</div>{_table(rows)}"
    )


def _video(clip: str, variant: str) -> str:
    stem = quote(f"clips/{clip}/{variant}")
    return (
        f"<figure><video controls loop muted playsinline preload=none poster='{stem}.jpg' src='{stem}.mp4'></video>"
        f"<figcaption>{_text(named(variant))} <span class=quiet>(left: the true clip)</span></figcaption></figure>"
    )


def _text(value: str) -> str:
    return html.escape(value)
