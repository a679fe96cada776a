"""Options of every command that runs a model from files, and the model they name."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import get_args

from ..batch.model_choice import ModelChoice
from ..demo.weights import BUNDLED, STUDENT, name_of
from ..models.fp8 import Arithmetic
from ..options import add_device, real, seed, size, whole
from ..streaming.network import SpecifiedNetwork
from ..streaming.render.renderer import Renderer, TeacherSettings, open_renderer
from ..streaming.render.warm_up import keep_compiled, warm_up
from ..streaming.stream import StreamSettings

MAX_STEPS = 1000
MAX_WEIGHT = 100
MAX_GIB = 1024


def add_model(parser: argparse.ArgumentParser) -> None:
    """The options that `model_of` and `teacher_settings` read, with prompt, size and seed."""
    parser.add_argument(
        "--model",
        type=Path,
        help="diffusers folder or file; default: a bundled one, for pictures, or for coloured shapes without --image",
    )
    parser.add_argument("--vae", type=Path, help="decodes in place of the model's own: a tiny VAE's file or a folder")
    parser.add_argument(
        "--encoders",
        type=Path,
        help="for a file: folder whose text_encoder, tokenizer, vae (image_encoder, image_processor) it takes; what is "
        "not there, an all-in-one checkpoint has inside",
    )
    parser.add_argument("--role", choices=("student", "teacher"), help="of a file that does not say what it is")
    parser.add_argument("--prompt", default="", help="what is seen; evaluating: of clips without a caption")
    parser.add_argument("--negative", default="", help="a teacher's negative prompt")
    parser.add_argument("--size", type=size, metavar="WIDTHxHEIGHT", help="default: what the model was trained at")
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("--steps", type=whole(1, MAX_STEPS), default=50, help="of a teacher")
    parser.add_argument(
        "--weights",
        type=real(-MAX_WEIGHT, MAX_WEIGHT),
        nargs=2,
        metavar=("TEXT", "MOTION"),
        help="a teacher's guidance",
    )
    add_device(parser)
    parser.add_argument(
        "--arithmetic",
        choices=get_args(Arithmetic),
        default="plain",
        help="fp8: the transformer's large matrices in 8 bits, for GPUs of compute capability 8.9 and higher",
    )
    parser.add_argument(
        "--compile",
        dest="compiled",
        action="store_true",
        help="the transformer by torch.compile: faster chunks, after a wait that is shorter the second time",
    )
    parser.add_argument(
        "--memory", type=real(0, MAX_GIB), metavar="GIB", help="of the GPU for weights; the rest waits on the CPU"
    )


def model_of(args: argparse.Namespace, bundled: Path = STUDENT) -> Renderer:
    """The model that was asked for, or `bundled`."""
    if args.compiled:
        keep_compiled()
    return open_renderer(
        args.model or bundled,
        vae=args.vae,
        encoders=args.encoders,
        role=args.role,
        device=args.device,
        budget_bytes=None if args.memory is None else int(args.memory * 2**30),
        arithmetic=args.arithmetic,
        compiled=args.compiled,
    )


def warm(
    args: argparse.Namespace,
    renderer: Renderer,
    loaded: SpecifiedNetwork,
    frame_size: tuple[int, int],
    settings: StreamSettings,
) -> None:
    """Where --compile asks for it: compile what a student's stream needs, and tell how far it is."""
    if not args.compiled or loaded.spec.role != "student":
        return
    begun = time.perf_counter()
    for done, count in warm_up(renderer, loaded, frame_size, settings):
        print(f"\rcompiling            chunk {done} of {count}", end="", flush=True)
    print(f"\rcompiled             in {time.perf_counter() - begun:.1f} s", flush=True)


def choice_of(args: argparse.Namespace, bundled: Path = STUDENT) -> ModelChoice:
    """The model that was asked for, or `bundled`, for workers to open wherever they are."""
    model = args.model or bundled
    name = name_of(model)
    return ModelChoice(
        model=name if name in BUNDLED else str(model.absolute()),
        vae=None if args.vae is None else str(args.vae.absolute()),
        encoders=None if args.encoders is None else str(args.encoders.absolute()),
        role=args.role,
        memory_bytes=None if args.memory is None else int(args.memory * 2**30),
        frame_size=args.size,
        steps=args.steps,
        weights=None if args.weights is None else (args.weights[0], args.weights[1]),
        arithmetic=args.arithmetic,
        compiled=args.compiled,
    )


def teacher_settings(args: argparse.Namespace) -> TeacherSettings:
    """How a teacher samples, by --steps and --weights."""
    text, motion = args.weights or (None, None)
    return TeacherSettings(args.steps, text, motion)
