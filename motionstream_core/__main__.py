"""`python -m motionstream_core render | live | evaluate`: video from files or by hand, and a model judged on clips."""

from __future__ import annotations

import argparse
import secrets
import sys
import webbrowser
from pathlib import Path

import torch
from PIL import Image

from .demo.example import drawn_example
from .demo.weights import BUNDLED, PHOTO_STUDENT, STUDENT, name_of
from .evaluation.clips.cases import Protocol
from .evaluation.clips.counterfactuals import COUNTERFACTUALS
from .evaluation.clips.datasets import find_footage
from .evaluation.clips.judge import ClipJudge
from .evaluation.clips.page import write_page
from .evaluation.clips.runs import ClipRuns, Plan
from .evaluation.clips.table import paper_rows, text_table, total_rows, write_csv
from .evaluation.perceptual import Lpips, load_lpips
from .live.open import Log, Opened, replayed
from .live.recording import repair
from .media.picture import read_picture
from .media.video_file import VideoFile
from .streaming.render.job import read_job, render_to_file
from .streaming.render.renderer import Renderer, TeacherSettings, open_renderer
from .streaming.stream import StreamSettings
from .tracks import ORDERS, UNITS
from .tracks.extract.cotracker import CoTracker3
from .tracks.extract.tracker import OpenCvTracker, Tracker

BUNDLED_LIVE_CHUNK, BUNDLED_LIVE_STEPS = 1, 2
"""Latent frames and denoise steps: with the 3 and 3 that it was trained by, an answer takes longer (docs/live.md)."""


def main(arguments: list[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    try:
        args.command(args)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"{args.name}: {error}", file=sys.stderr)
        return 2
    return 0


def render(args: argparse.Namespace) -> None:
    """`motionstream render`."""
    if args.replay is not None:
        return replay(args)
    renderer = _renderer(args, PHOTO_STUDENT if args.image else STUDENT)
    job = read_job(
        renderer,
        args.prompt,
        args.image,
        args.tracks,
        num_frames=args.frames,
        frame_size=args.size,
        negative=args.negative,
        units=args.units,
        order=args.order,
    )
    if job.told:
        print(f"tracks               {job.told}")
    pace = render_to_file(renderer, job, args.out, StreamSettings(seed=args.seed), _teacher_settings(args))
    print(f"video                {args.out}  ({pace.num_frames} frames, {job.tracks.width}x{job.tracks.height} px)")
    print(f"time to first frame  {pace.first_frame_s:.2f} s  (first generated chunk, decoded)")
    print(f"frames per second    {pace.frames_per_second:.2f}  ({pace.seconds_per_chunk:.2f} s per chunk)")
    if renderer.device.type == "cuda":
        print(f"peak GPU memory      {torch.cuda.max_memory_allocated(renderer.device) / 2**20:.0f} MiB")


def replay(args: argparse.Namespace) -> None:
    """`motionstream render --replay`: a live stream's log, made again."""
    for name in ("image", "tracks", "frames", "size"):
        if getattr(args, name) is not None:
            raise ValueError(f"--{name} cannot be given beside --replay: the log says it")
    log = Log.read(args.replay)
    about = log.about
    renderer = _renderer(args, BUNDLED.get(about.model, STUDENT))
    chunk = about.chunk_frames // renderer.loaded.spec.vae_stride.time
    opened = Opened(renderer, (about.height, about.width), about.seed, chunk, about.model, about.steps, history_bytes=0)
    if renderer.loaded.spec.image_rule != "none" and log.image is None:
        raise FileNotFoundError(f"--replay: the log's first image is missing beside {args.replay}")
    picture = log.picture()
    renderer.settle()
    with VideoFile(args.out, about.fps) as file:
        for frames in replayed(opened, log, picture):
            file.push(frames)
    print(f"video                {args.out}  ({file.num_frames} frames, {about.width}x{about.height} px)")


def live(args: argparse.Namespace) -> None:
    """`motionstream live`."""
    from aiohttp import web

    from .live.page import LOOPBACK, LivePage

    renderer = _renderer(args, PHOTO_STUDENT)
    spec, file = renderer.loaded.spec, args.model or PHOTO_STUDENT
    bundled = file.resolve() in BUNDLED.values()
    chunk = _given(args.chunk, "--chunk", BUNDLED_LIVE_CHUNK if bundled else None)
    steps = _given(args.live_steps, "--live-steps", BUNDLED_LIVE_STEPS if bundled else None)
    opened = Opened(renderer, args.size or spec.frame_size, args.seed, chunk, name_of(file), steps)
    prompt, picture = args.prompt, None
    if args.image is not None:
        if not args.image.is_file():
            raise FileNotFoundError(f"--image: there is no file {args.image}")
        picture = opened.fitted(Image.fromarray(read_picture(args.image).pixels))
    elif spec.image_rule != "none":
        example = drawn_example(2)
        picture = opened.fitted(Image.fromarray(example.image))
        prompt = prompt or (example.prompt if file.resolve() == STUDENT else "")
    for files in repair(args.out):
        print(f"made whole what an earlier stream left: {files.video or files.log}")
    args.out.mkdir(parents=True, exist_ok=True)
    token = "" if args.host in LOOPBACK else secrets.token_urlsafe(16)
    page = LivePage(opened, prompt, picture, args.out, token, spec.vocabulary or None, hold=file.resolve() == STUDENT)
    address = f"http://{'localhost' if args.host in LOOPBACK else args.host}:{args.port}/" + (
        token and f"?token={token}"
    )

    def announce(_: str) -> None:  # called when it listens
        print(f"{address}\nopen it in a browser; Enter begins, drag with the mouse; Ctrl+C here ends", flush=True)
        if not args.no_browser and args.host in LOOPBACK:
            webbrowser.open(address)

    web.run_app(page.app(), host=args.host, port=args.port, print=announce, access_log=None)


def evaluate(args: argparse.Namespace) -> None:
    """`motionstream evaluate`."""
    footage = find_footage(args.dataset, args.split)
    if args.clips is not None:
        if args.clips < 1:
            raise ValueError(f"clips is {args.clips}; it must be at least 1")
        footage = footage[: args.clips]
    renderer = _renderer(args, STUDENT)
    spec = renderer.loaded.spec
    protocol = Protocol(
        frame_size=args.size or spec.frame_size,
        max_frames=args.frames,
        fps=None if args.every_frame else spec.fps,
        grid=args.grid,
    )
    lpips, notes = _lpips(args.lpips, renderer.device)
    judge = ClipJudge(_tracker(args, renderer.device), lpips)
    plan = Plan(
        protocol,
        _variants(args.variants),
        args.prompt,
        args.negative,
        StreamSettings(seed=args.seed),
        _teacher_settings(args),
        model=" ".join(map(_stamp, (args.model or STUDENT, args.vae, args.encoders))),
    )
    args.out.mkdir(parents=True, exist_ok=True)
    results = ClipRuns(renderer, footage, plan, judge, args.out, lambda line: print(line, flush=True)).run()
    width = protocol.frame_size[1]
    about = {
        "model": f"{args.model or name_of(STUDENT)} ({spec.role})",
        "dataset": f"{args.dataset}, {len(footage)} clips",
        "frames": f"{width}x{protocol.frame_size[0]} px, at most {protocol.max_frames}, "
        + ("every frame" if protocol.fps is None else f"{protocol.fps:g} a second"),
        "tracks": f"grid of {protocol.grid} x {protocol.grid}, followed by {judge.tracker.name}",
        "seed": str(args.seed),
        "computed on": torch.cuda.get_device_name(renderer.device) if renderer.device.type == "cuda" else "CPU",
    }
    write_csv(args.out / "clips.csv", results, width)
    write_page(args.out / "report.html", results, about, width, notes)
    for note in notes:
        print(note)
    print(text_table([*total_rows(results, width), *paper_rows(results)]))
    print(f"report  {args.out / 'report.html'}\nfigures {args.out / 'clips.csv'}")


def _stamp(path: Path | None) -> str:
    """What changes when a file, or any file of a folder, is written anew."""
    if path is None:
        return ""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return f"{path.resolve()} {max((each.stat().st_mtime_ns for each in files), default=0)}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="motionstream", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True)
    one = commands.add_parser("render", help="image, tracks and prompt to an mp4")
    one.add_argument("--image", type=Path, help="the first frame; cropped about its middle to the video's frame")
    one.add_argument("--tracks", type=Path, help="trajectories: npz, the editor's document, coordinate JSON")
    one.add_argument("--units", choices=UNITS, default="auto", help="of coordinate JSON: px of the image, or 0 to 1")
    one.add_argument("--order", choices=ORDERS, default="auto", help="of coordinate JSON: what each list holds")
    one.add_argument("--replay", type=Path, metavar="LOG", help="a live stream's .log.json: that stream, made again")
    one.add_argument("--frames", type=int, help="length; default: as the tracks, in whole chunks")
    one.add_argument("--out", type=Path, default=Path("outputs/render.mp4"))
    one.set_defaults(command=render)
    hand = commands.add_parser("live", help="a page on which a stream is steered by hand")
    hand.add_argument("--image", type=Path, help="the first frame; default: the demo's own. The page takes others")
    hand.add_argument(
        "--chunk",
        type=int,
        help=f"latent frames at a time: fewer answer sooner; default: as trained, a bundled model {BUNDLED_LIVE_CHUNK}",
    )
    hand.add_argument(
        "--live-steps",
        type=int,
        help="denoise steps of a chunk: fewer answer sooner; default: as trained, "
        f"a bundled model {BUNDLED_LIVE_STEPS}",
    )
    hand.add_argument("--host", default="127.0.0.1", help="address to listen on; others than this machine need a token")
    hand.add_argument("--port", type=int, default=8189)
    hand.add_argument("--no-browser", action="store_true", help="print the address only")
    hand.add_argument("--out", type=Path, default=Path("outputs/live"), help="folder of the recordings")
    hand.set_defaults(command=live)
    many = commands.add_parser("evaluate", help="judge a model on a folder of clips")
    many.add_argument("dataset", type=Path, help="DAVIS, videos, or scenes with COLMAP's cameras (docs/evaluation.md)")
    many.add_argument("--tracks", choices=("opencv", "cotracker"), default="opencv", help="what follows the points")
    many.add_argument("--cotracker", type=Path, metavar="FILE", help="CoTracker3's scaled_offline.pth")
    many.add_argument("--split", help="of DAVIS: the clips that ImageSets/*/SPLIT.txt names")
    many.add_argument("--clips", type=int, help="only the first so many")
    many.add_argument("--frames", type=int, default=81, help="of a clip at most (default: 81)")
    many.add_argument("--every-frame", action="store_true", help="do not sub-sample to the model's frames a second")
    many.add_argument("--grid", type=int, default=50, help="rows and columns of followed points (default: 50)")
    many.add_argument("--variants", default="all", help=f"all, none, or some of {','.join(COUNTERFACTUALS)}")
    many.add_argument("--lpips", default="auto", help="auto: where its weights are found; off; or VGG-16's safetensors")
    many.add_argument("--out", type=Path, default=Path("outputs/evaluate"), help="folder; run again to resume")
    many.set_defaults(command=evaluate)
    for each in (one, hand, many):
        _add_model(each)
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        type=Path,
        help="diffusers folder or file; default: a bundled one, for pictures, or for coloured shapes without --image",
    )
    parser.add_argument("--vae", type=Path, help="decodes in place of the model's own: a tiny VAE's file or a folder")
    parser.add_argument("--encoders", type=Path, help="for a lone file: folder with text_encoder, tokenizer and vae")
    parser.add_argument("--role", choices=("student", "teacher"), help="of a file that does not say what it is")
    parser.add_argument("--prompt", default="", help="what is seen; evaluating: of clips without a caption")
    parser.add_argument("--negative", default="", help="a teacher's negative prompt")
    parser.add_argument("--size", type=_size, metavar="WIDTHxHEIGHT", help="default: what the model was trained at")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=50, help="of a teacher")
    parser.add_argument("--weights", type=float, nargs=2, metavar=("TEXT", "MOTION"), help="a teacher's guidance")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--memory", type=float, metavar="GIB", help="of the GPU for weights; the rest waits on the CPU")


def _renderer(args: argparse.Namespace, bundled: Path) -> Renderer:
    """The model that was asked for, or `bundled`."""
    budget = None if args.memory is None else int(args.memory * 2**30)
    return open_renderer(
        args.model or bundled,
        vae=args.vae,
        encoders=args.encoders,
        role=args.role,
        device=torch.device(args.device),
        budget_bytes=budget,
    )


def _given(value: int | None, name: str, default: int | None) -> int | None:
    if value is not None and value < 1:
        raise ValueError(f"{name} is {value}; it must be at least 1")
    return default if value is None else value


def _teacher_settings(args: argparse.Namespace) -> TeacherSettings:
    text, motion = args.weights or (None, None)
    return TeacherSettings(args.steps, text, motion)


def _tracker(args: argparse.Namespace, device: torch.device) -> Tracker:
    if args.tracks == "opencv":
        return OpenCvTracker()
    if args.cotracker is None:
        raise ValueError("--tracks cotracker needs --cotracker FILE, the checkpoint scaled_offline.pth")
    return CoTracker3.load(args.cotracker, device)


def _lpips(asked: str, device: torch.device) -> tuple[Lpips | None, list[str]]:
    """The network, or none with a line that says why."""
    if asked == "off":
        return None, ["LPIPS was left out."]
    try:
        return load_lpips(None if asked == "auto" else asked).to(device), []
    except FileNotFoundError as error:
        if asked != "auto":
            raise
        return None, [f"LPIPS was left out: {error}"]


def _variants(text: str) -> tuple[str, ...]:
    if text in ("all", "none"):
        return COUNTERFACTUALS if text == "all" else ()
    chosen = tuple(text.split(","))
    if unknown := [each for each in chosen if each not in COUNTERFACTUALS]:
        raise ValueError(f"--variants: {unknown[0]!r} is unknown; known are {', '.join(COUNTERFACTUALS)}")
    return chosen


def _size(text: str) -> tuple[int, int]:
    """(height, width) of WIDTHxHEIGHT."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; give WIDTHxHEIGHT, as in 832x480")
    return int(height), int(width)


if __name__ == "__main__":
    sys.exit(main())
