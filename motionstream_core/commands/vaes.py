"""`motionstream vaes`: VAEs side by side on a folder of clips."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from ..batch.judging import AUTO, lpips_of
from ..demo.weights import BUNDLED, name_of
from ..entry import Command, one_line
from ..evaluation.clips.cases import Protocol, Video, read_clip
from ..evaluation.clips.datasets import Footage, find_footage
from ..evaluation.clips.vaes import VaeFigures, vae_figures
from ..files import require_new_file, write_text
from ..options import add_device, frames, size, whole
from ..streaming.render.renderer import Vae, open_vae

COLUMNS = {
    "psnr_db": ("PSNR, dB", 2),
    "ssim": ("SSIM", 3),
    "lpips": ("LPIPS", 3),
    "encoder_millions": ("encoder, M", 2),
    "decoder_millions": ("decoder, M", 2),
    "encoded": ("encoded, frames/s", 1),
    "decoded": ("decoded, frames/s", 1),
    "memory_mib": ("decoding, MiB", 0),
}
Row = tuple[str, VaeFigures]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `vaes` reads."""
    add = parser.add_argument
    add("dataset", type=Path, help="DAVIS, videos, or scenes (docs/evaluation.md)")
    add("--vae", type=Path, nargs="+", required=True, help="files of tiny VAEs, files or folders of full ones")
    add("--encoder", type=Path, help="whose latents all of them decode (table A1: the full VAE); default: each its own")
    add("--split", help="of DAVIS: the clips that ImageSets/*/SPLIT.txt names")
    add("--clips", type=whole(1, 10**9), help="only the first so many")
    add("--frames", type=frames, default=81, help="of a clip at most (default: 81)")
    add("--size", type=size, default=(480, 832), metavar="WIDTHxHEIGHT", help="of the frames (default: 832x480)")
    add("--lpips", default=AUTO, help="auto: where its weights are found; off; or VGG-16's safetensors")
    add("--bf16", action="store_true", help="decode in bf16, as the GPU streams do")
    add("--csv", type=Path, help="write the figures here too")
    add_device(parser)


def vaes(args: argparse.Namespace) -> None:
    """`motionstream vaes`."""
    if args.csv is not None:
        require_new_file(args.csv, "--csv", (*args.vae, args.encoder), overwrite=True)
    footage = find_footage(args.dataset, args.split)[: args.clips]
    dtype = torch.bfloat16 if args.bf16 else torch.float32
    lpips, note = lpips_of(args.lpips, args.device)
    rows: list[Row] = []
    for path in args.vae:
        decoder = open_vae(path, dtype)
        encoder = decoder if args.encoder is None else open_vae(args.encoder, torch.float32)
        protocol = Protocol(args.size, args.frames, fps=None)
        figures = vae_figures(encoder, decoder, _clips(footage, protocol, encoder), args.device, lpips)
        rows.append((name_of(path) if path.resolve() in BUNDLED.values() else str(path), figures))
        print(one_line(f"{rows[-1][0]}: {figures.psnr_db:.2f} dB"), flush=True)
    if args.csv is not None:
        _write(args.csv, rows)
    if note:
        print(note)
    print(table(rows))


def table(rows: Sequence[Row]) -> str:
    """Markdown, with the columns in which any row has a figure."""
    shown = [name for name in COLUMNS if any(getattr(figures, name) is not None for _, figures in rows)]
    lines = ["| | " + " | ".join(COLUMNS[name][0] for name in shown) + " |", "|---|" + "---:|" * len(shown)]
    for what, figures in rows:
        lines.append(f"| {what} | " + " | ".join(f"{getattr(figures, n):.{COLUMNS[n][1]}f}" for n in shown) + " |")
    return "\n".join(lines)


def _clips(footage: Sequence[Footage], protocol: Protocol, vae: Vae) -> Iterator[Video]:
    """Clips of 1 + 4k frames, one in memory at a time."""
    time = vae.stride.time
    return (read_clip(each, protocol, lambda count: count - (count - 1) % time)[0] for each in footage)


def _write(path: Path, rows: Sequence[Row]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["vae", *COLUMNS])
    for what, figures in rows:
        values = asdict(figures)
        writer.writerow([what, *("" if values[name] is None else f"{values[name]:.6g}" for name in COLUMNS)])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())


COMMAND = Command("VAEs side by side on a folder of clips.", add_options, vaes)
