"""`python -m motionstream_core.checkpoints inspect|convert`: what a file of weights is, and other layouts of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import get_args

from .convert import Layout, convert
from .describe import describe
from .families import BY_KEY
from .spec import Role
from .tiny_vae_weights import VARIANTS

MAX_STRENGTH = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 1 with a line on stderr for a file that cannot be read or written."""
    args = _parser().parse_args(arguments)
    known = {"role": args.role, "family": args.family, "variant": args.variant}
    try:
        if args.command == "inspect":
            print("\n".join(describe(args.file, **known)))
        else:
            merged = convert(args.file, args.target, args.to, **known, lora=args.merge_lora, strength=args.strength)
            print(f"wrote {args.target}" + (f"; {merged}" if merged else ""))
    except (OSError, ValueError, ImportError, MemoryError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m motionstream_core.checkpoints", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    inspecting = commands.add_parser("inspect", help="say what a file or folder is")
    converting = commands.add_parser(
        "convert", help="write the same weights in another layout, bit for bit, or with a LoRA merged in"
    )
    for command in (inspecting, converting):
        command.add_argument("file", help="a safetensors or torch file, an index, or a folder")
    converting.add_argument("target", help="the file to write; for diffusers, the folder")
    converting.add_argument("--to", choices=get_args(Layout), required=True, help="layout to write")
    converting.add_argument("--merge-lora", metavar="FILE", help="merge a LoRA into the weights: W + strength * B A")
    converting.add_argument("--strength", type=_strength, default=1.0, help="of the LoRA (default: 1)")
    for command in (inspecting, converting):
        command.add_argument("--variant", choices=VARIANTS, help="which tiny VAE it is, where nothing tells")
        command.add_argument("--role", choices=get_args(Role), help="what it is, where nothing tells")
        command.add_argument("--family", choices=BY_KEY, help="which family it is of, where several fit")
    return parser


def _strength(text: str) -> float:
    value = float(text)
    if not abs(value) <= MAX_STRENGTH:
        raise argparse.ArgumentTypeError(f"{text} is no strength; give a number from -{MAX_STRENGTH} to {MAX_STRENGTH}")
    return value


if __name__ == "__main__":
    sys.exit(main())
