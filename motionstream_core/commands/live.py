"""`motionstream live`: a page on which a stream is steered by hand."""

from __future__ import annotations

import argparse
import secrets
import webbrowser
from pathlib import Path

from aiohttp import web
from PIL import Image

from ..demo.example import drawn_example
from ..demo.weights import BUNDLED, PHOTO_STUDENT, STUDENT, name_of
from ..entry import Command
from ..files import require_regular
from ..live.open import Opened
from ..live.page import LOOPBACK, LivePage
from ..live.recording import repair
from ..media.picture import read_picture
from ..options import add_credentials, whole
from .model import MAX_STEPS, add_model, model_of, warm

BUNDLED_LIVE_CHUNK, BUNDLED_LIVE_STEPS = 1, 2
"""Latent frames and denoise steps at most: with more an answer takes longer (docs/live.md)."""
MAX_CHUNK = 100


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `live` reads."""
    parser.add_argument("--image", type=Path, help="the first frame; default: the demo's own. The page takes others")
    parser.add_argument(
        "--chunk",
        type=whole(1, MAX_CHUNK),
        help=f"latent frames at a time: fewer answer sooner; default: as trained, a bundled model {BUNDLED_LIVE_CHUNK}",
    )
    parser.add_argument(
        "--live-steps",
        type=whole(1, MAX_STEPS),
        help="denoise steps of a chunk: fewer answer sooner; default: as trained, "
        f"a bundled model {BUNDLED_LIVE_STEPS} at most",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; others than this machine need a token"
    )
    parser.add_argument("--port", type=whole(1, 65_535), default=8189)
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    parser.add_argument("--out", type=Path, default=Path("outputs/live"), help="folder of the recordings")
    add_credentials(parser)
    add_model(parser)


def live(args: argparse.Namespace) -> None:
    """`motionstream live`."""
    renderer = model_of(args, PHOTO_STUDENT)
    spec, file = renderer.loaded.spec, args.model or PHOTO_STUDENT
    bundled = file.resolve() in BUNDLED.values()
    chunk = args.chunk or (BUNDLED_LIVE_CHUNK if bundled else None)
    steps = args.live_steps or (min(BUNDLED_LIVE_STEPS, len(spec.step_list)) if bundled else None)
    opened = Opened(renderer, args.size or spec.frame_size, args.seed, chunk, name_of(file), steps)
    prompt, picture = args.prompt, None
    if args.image is not None:
        require_regular(args.image, "--image")
        picture = opened.fitted(Image.fromarray(read_picture(args.image).pixels))
    elif spec.image_rule != "none":
        example = drawn_example(2)
        picture = opened.fitted(Image.fromarray(example.image))
        prompt = prompt or (example.prompt if file.resolve() == STUDENT else "")
    warm(args, renderer, opened.loaded, opened.size, opened.settings)
    for files in repair(args.out):
        print(f"made whole what an earlier stream left: {files.video or files.log}")
    args.out.mkdir(parents=True, exist_ok=True)
    token = "" if args.host in LOOPBACK else secrets.token_urlsafe(16)
    page = LivePage(
        opened,
        prompt,
        picture,
        args.out,
        token,
        spec.vocabulary or None,
        hold=file.resolve() == STUDENT,
        credentials=args.content_credentials,
    )
    address = f"http://{'localhost' if args.host in LOOPBACK else args.host}:{args.port}/" + (
        token and f"?token={token}"
    )

    def announce(_: str) -> None:  # called when it listens
        print(f"{address}\nopen it in a browser; Enter begins, drag with the mouse; Ctrl+C here ends", flush=True)
        if not args.no_browser and args.host in LOOPBACK:
            webbrowser.open(address)

    web.run_app(page.app(), host=args.host, port=args.port, print=announce, access_log=None)


COMMAND = Command("A page on which a stream is steered by hand.", add_options, live)
