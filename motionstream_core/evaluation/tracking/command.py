"""`python -m motionstream_core.evaluation.tracking`: the OpenCV tracker against true points, and there and back."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from ...entry import Command
from ...media.frames import AtTimes, at_rate
from ...media.video import VideoFrames
from ...media.video_file import VideoFile
from ...options import whole
from ...tracks import contact_sheet, draw_tracks
from ...tracks.extract.tracker import OpenCvTracker
from .ground_truth import CLIPS, follow, table
from .round_trip import HEADER, RoundTrip, round_trip

NEVER = 2.0  # no likeness reaches this: a point that was lost stays lost
DRAWN_AT_ONCE = 16


def add_options(parser: argparse.ArgumentParser) -> None:
    """What it reads."""
    parser.add_argument("--clips", type=whole(0, 100_000), default=16, help="rendered clips of each kind; 0: none")
    parser.add_argument("--videos", type=Path, nargs="*", default=[], help="instead: there and back through these")
    parser.add_argument("--grid", type=whole(1, 300), nargs=2, default=(30, 30), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--out", type=Path, help="folder for the videos' overlays and contact sheets")
    parser.add_argument("--doc", type=Path, help="a page whose part between its markers is written anew")


def judge(args: argparse.Namespace) -> None:
    """`python -m motionstream_core.evaluation.tracking`."""
    if args.videos:
        part, text = "videos", videos_table(args.videos, tuple(args.grid), args.out)
    else:
        part, text = "world", world_tables(args.clips)
    print(text)
    if args.doc is not None:
        args.doc.write_text(with_part(args.doc.read_text("utf-8"), part, text), "utf-8")


def world_tables(num_clips: int) -> str:
    """Tables for flat and textured clips, by either flow, and for points that are never found again."""
    own, dense = OpenCvTracker(), OpenCvTracker(flow="dis")
    cases = [("Flat", "flat", own), ("Flat, DIS flow", "flat", dense)]
    cases += [("Textured", "textured", own), ("Textured, DIS flow", "textured", dense)]
    cases.append(("Textured, nothing found again", "textured", replace(own, regain=NEVER)))
    texts = []
    for title, kind, tracker in cases:
        clips = (CLIPS[kind](index) for index in range(num_clips))
        texts.append(f"**{title}**\n\n{table(follow(tracker, clips))}")
    return "\n\n".join(texts)


def videos_table(paths: list[Path], grid: tuple[int, int], out: Path | None) -> str:
    """A row for each video; with `out`, its tracks drawn over it too."""
    rows = [HEADER]
    for path in paths:
        recorded = VideoFrames(path)
        video = at_rate(recorded)
        trip = round_trip(OpenCvTracker(), video, *grid)
        rows.append(trip.row(path.name))
        if out is not None:
            draw(trip, video, recorded.fps, out / path.stem)
    return "\n".join(rows)


def draw(trip: RoundTrip, video: AtTimes, fps: float, stem: Path) -> None:
    """`<stem>_tracks.mp4` and `<stem>_tracks.png`: the way forward over the video."""
    tracks = trip.forward
    even = (slice(video.height // 2 * 2), slice(video.width // 2 * 2))
    with VideoFile(stem.with_name(f"{stem.name}_tracks.mp4"), fps or 25, generated=False) as file:
        for start in range(0, video.num_frames, DRAWN_AT_ONCE):
            stop = min(start + DRAWN_AT_ONCE, video.num_frames)
            first = max(0, start - DRAWN_AT_ONCE)  # tails reach back
            frames = torch.from_numpy(video.read(first, stop))
            drawn = draw_tracks(frames, tracks.slice(first, stop))[start - first :]
            file.push(drawn[:, even[0], even[1]].float() / 255)
    shown = sorted({round(i * (video.num_frames - 1) / 7) for i in range(8)})
    frames = torch.cat([torch.from_numpy(video.read(i, i + 1)) for i in shown])
    picked = type(tracks)(tracks.points[shown], tracks.visibility[shown], tracks.height, tracks.width, tracks.ids)
    sheet = contact_sheet(frames, picked)
    Image.fromarray(sheet.numpy()).save(stem.with_name(f"{stem.name}_tracks.png"))


def with_part(page: str, part: str, text: str) -> str:
    """`page` with what stands between `<!-- part -->` and `<!-- /part -->` replaced. Raises ValueError without them."""
    pattern = re.compile(rf"(<!-- {part} -->\n).*?(\n<!-- /{part} -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no <!-- {part} --> ... <!-- /{part} --> to write between")
    return pattern.sub(lambda m: m[1] + text + m[2], page)


COMMAND = Command("The OpenCV tracker against true points, and there and back.", add_options, judge)
