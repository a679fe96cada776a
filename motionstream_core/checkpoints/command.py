"""`motionstream inspect` and `motionstream convert`: what a file of weights is, and other layouts of it."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from ..entry import Command
from ..options import real
from .convert import Layout, convert
from .describe import describe
from .families import BY_KEY
from .spec import Role
from .tiny_vae_weights import VARIANTS

MAX_STRENGTH = 100


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="a safetensors or torch file, an index, or a folder")
    parser.add_argument("--variant", choices=VARIANTS, help="which tiny VAE it is, where nothing tells")
    parser.add_argument("--role", choices=get_args(Role), help="what it is, where nothing tells")
    parser.add_argument("--family", choices=BY_KEY, help="which family it is of, where several fit")


def _add_convert(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    parser.add_argument("target", help="the file to write; for diffusers, the folder")
    parser.add_argument("--to", choices=get_args(Layout), required=True, help="layout to write")
    parser.add_argument("--merge-lora", metavar="FILE", help="merge a LoRA into the weights: W + strength * B A")
    parser.add_argument(
        "--strength", type=real(-MAX_STRENGTH, MAX_STRENGTH), default=1.0, help="of the LoRA (default: 1)"
    )


def _known(args: argparse.Namespace) -> dict[str, Any]:
    return {"role": args.role, "family": args.family, "variant": args.variant}


def _inspect(args: argparse.Namespace) -> None:
    print("\n".join(describe(args.file, **_known(args))))


def _convert(args: argparse.Namespace) -> None:
    merged = convert(args.file, args.target, args.to, **_known(args), lora=args.merge_lora, strength=args.strength)
    print(f"wrote {args.target}" + (f"; {merged}" if merged else ""))


INSPECT = Command("What a file or folder of weights is; the weights themselves are not read.", _add_source, _inspect)
CONVERT = Command("The same weights in another layout, bit for bit, or with a LoRA merged in.", _add_convert, _convert)
