"""`motionstream render`: image, tracks and prompt to an mp4, one or a whole table."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..demo.weights import BUNDLED, PHOTO_STUDENT, STUDENT, name_of
from ..entry import Command
from ..files import require_new_file
from ..live.open import Log, Opened, replayed
from ..options import add_credentials, frames
from ..streaming.render.going_on import read_going_on, state_to
from ..streaming.render.job import read_job, write_frames
from ..streaming.state_file import SUFFIX
from ..streaming.stream import StreamSettings
from ..tracks import ORDERS, UNITS
from .model import add_model, model_of, teacher_settings, warm
from .render_manifest import OF_A_TABLE, add_manifest, render_manifest
from .render_manifest import OUT as FOLDER

OUT = "outputs/render.mp4"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `render` reads."""
    parser.add_argument("--image", type=Path, help="the first frame; cropped about its middle to the video's frame")
    parser.add_argument("--tracks", type=Path, help="trajectories: npz, the editor's document, coordinate JSON")
    parser.add_argument("--units", choices=UNITS, default="auto", help="of coordinate JSON: px of the image, or 0 to 1")
    parser.add_argument("--order", choices=ORDERS, default="auto", help="of coordinate JSON: what each list holds")
    parser.add_argument(
        "--continue",
        dest="go_on",
        type=Path,
        metavar="VIDEO|STREAM",
        help="in place of an image: a video, whose last frames the stream takes up, or a saved stream; --out holds "
        "what is new, and the tracks begin in the last frame",
    )
    parser.add_argument(
        "--save-stream",
        type=Path,
        metavar="FILE",
        help=f"the stream's memory when it ends, for --continue; the name ends in {SUFFIX}",
    )
    parser.add_argument("--replay", type=Path, metavar="LOG", help="a live stream's .log.json: that stream, made again")
    parser.add_argument("--frames", type=frames, help="length; default: as the tracks, in whole chunks")
    parser.add_argument("--out", help=f"default: {OUT}; of a manifest a folder or its address, default: {FOLDER}")
    parser.add_argument("--overwrite", action="store_true", help="replace --out where it is there already")
    add_manifest(parser)
    add_credentials(parser)
    add_model(parser)


def render(args: argparse.Namespace) -> int | None:
    """`motionstream render`."""
    if args.manifest is not None:
        return render_manifest(args)
    for name in OF_A_TABLE:
        if getattr(args, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} is for a manifest: motionstream render MANIFEST")
    args.out = Path(OUT if args.out is None else args.out)
    if args.replay is not None:
        return replay(args)
    if args.go_on is not None:
        return go_on(args)
    _require_new_files(args)
    default = PHOTO_STUDENT if args.image else STUDENT
    renderer = model_of(args, default)
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
    keep = state_to(args.save_stream, renderer, name_of(args.model or default))
    settings, teacher = StreamSettings(seed=args.seed), teacher_settings(args)
    made, fps = job.frames(renderer, settings, teacher, keep), renderer.loaded.spec.fps
    warm(args, renderer, renderer.loaded, (job.tracks.height, job.tracks.width), settings)
    pace = write_frames(made, args.out, fps, generated=args.content_credentials)
    print(f"video                {args.out}  ({pace.num_frames} frames, {job.tracks.width}x{job.tracks.height} px)")
    print(f"time to first frame  {pace.first_frame_s:.2f} s  (first generated chunk, decoded)")
    print(f"frames per second    {pace.frames_per_second:.2f}  ({pace.seconds_per_chunk:.2f} s per chunk)")
    if renderer.device.type == "cuda":
        print(f"peak GPU memory      {torch.cuda.max_memory_allocated(renderer.device) / 2**20:.0f} MiB")


def go_on(args: argparse.Namespace) -> None:
    """`motionstream render --continue`: what follows a video or a saved stream."""
    _require_new_files(args)
    renderer, name = model_of(args, PHOTO_STUDENT), name_of(args.model or PHOTO_STUDENT)
    job = read_going_on(
        renderer,
        name,
        args.prompt,
        args.go_on,
        args.tracks,
        args.image,
        num_frames=args.frames,
        frame_size=args.size,
        units=args.units,
        order=args.order,
    )
    keep = state_to(args.save_stream, renderer, name)
    made, fps = job.frames(renderer, args.seed, keep), renderer.loaded.spec.fps
    warm(args, renderer, renderer.loaded, job.before.size, StreamSettings())
    pace = write_frames(made, args.out, fps, generated=args.content_credentials)
    height, width = job.before.size
    print(f"video                {args.out}  ({pace.num_frames} new frames, {width}x{height} px)")
    print(f"frames per second    {pace.frames_per_second:.2f}  ({pace.seconds_per_chunk:.2f} s per chunk)")
    if args.save_stream is not None:
        print(f"saved stream         {args.save_stream}")


def _require_new_files(args: argparse.Namespace) -> None:
    """Raise where a file that is to be written must not be."""
    read = (args.go_on, args.image, args.tracks, args.model, args.vae)
    require_new_file(args.out, "--out", read, args.overwrite)
    if args.save_stream is not None:
        require_new_file(args.save_stream, "--save-stream", read, args.overwrite)


def replay(args: argparse.Namespace) -> None:
    """`motionstream render --replay`: a live stream's log, made again."""
    for name in ("image", "tracks", "frames", "size", "save_stream", "go_on"):
        if getattr(args, name) is not None:
            option = "continue" if name == "go_on" else name.replace("_", "-")
            raise ValueError(f"--{option} cannot be given beside --replay: the log says it")
    log = Log.read(args.replay)
    require_new_file(args.out, "--out", (args.replay, log.image), args.overwrite)
    about = log.about
    renderer = model_of(args, BUNDLED.get(about.model, STUDENT))
    chunk = about.chunk_frames // renderer.loaded.spec.vae_stride.time
    opened = Opened(renderer, (about.height, about.width), about.seed, chunk, about.model, about.steps, history_bytes=0)
    if renderer.loaded.spec.image_rule != "none" and log.image is None:
        raise FileNotFoundError(f"--replay: the log's first image is missing beside {args.replay}")
    picture = log.picture()
    warm(args, renderer, opened.loaded, opened.size, opened.settings)
    renderer.settle()
    made = replayed(opened, log, picture)
    pace = write_frames(made, args.out, about.fps, generated=args.content_credentials)
    print(f"video                {args.out}  ({pace.num_frames} frames, {about.width}x{about.height} px)")


COMMAND = Command("Image, tracks and prompt to an mp4; a table of them to a folder of mp4.", add_options, render)
