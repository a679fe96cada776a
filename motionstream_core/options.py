"""Values of command lines, read strictly: what is out of range is an error that names the option and what it takes."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

MAX_FRAMES = 1_000_000
MAX_SIDE_PX = 8192
MAX_SEED = 2**64 - 1


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number in [low, high]."""

    def read(text: str) -> int:
        digits = text.strip().removeprefix("-")
        # the count first: int() takes its time over a million digits, and refuses them in words of its own
        if not (digits.isascii() and digits.isdecimal()) or len(digits) > 20 or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{_short(text)} is no whole number from {low} to {high}")
        return int(text)

    return read


def real(low: float, high: float) -> Callable[[str], float]:
    """A finite number in [low, high]."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{_short(text)} is no number from {low:g} to {high:g}")
        return value

    return read


frames = whole(1, MAX_FRAMES)
seed = whole(0, MAX_SEED)


def wholes(low: int, high: int) -> Callable[[str], tuple[int, ...]]:
    """Different whole numbers in [low, high] with commas between, in rising order."""
    one = whole(low, high)
    return lambda text: tuple(sorted({one(each) for each in text.split(",")}))


def size(text: str) -> tuple[int, int]:
    """(height, width) of WIDTHxHEIGHT."""
    width, _, height = text.lower().partition("x")
    sides = (height, width)
    if not all(
        side.isascii() and side.isdecimal() and len(side) < 6 and 1 <= int(side) <= MAX_SIDE_PX for side in sides
    ):
        raise argparse.ArgumentTypeError(
            f"{_short(text)} is no size; give WIDTHxHEIGHT, each 1 to {MAX_SIDE_PX}, as in 832x480"
        )
    return int(height), int(width)


def part(text: str) -> tuple[int, int]:
    """(i, n) of I/N: share number i of n, 0 <= i < n."""
    index, _, count = text.partition("/")
    if not all(each.isascii() and each.isdecimal() and len(each) < 10 for each in (index, count)):
        raise argparse.ArgumentTypeError(f"{_short(text)} is no share; give I/N, as in 0/4")
    if not int(index) < int(count):
        raise argparse.ArgumentTypeError(f"{_short(text)} is no share: of {int(count)} there are 0 to {int(count) - 1}")
    return int(index), int(count)


def device(text: str) -> torch.device:
    """A device that computes here: cpu, cuda, cuda:N or mps."""
    import torch

    kind, _, number = text.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise argparse.ArgumentTypeError(f"{_short(text)} is no device to compute on; there are cpu, cuda, cuda:N, mps")
    reason = why_not(kind)
    if reason is None and number and int(number) >= count(kind):
        reason = f"the last one is {kind}:{count(kind) - 1}"
    if reason is not None:
        raise argparse.ArgumentTypeError(f"{text!r} is not to be had here: {reason}; give --device cpu")
    return torch.device(text)


def count(kind: str) -> int:
    """How many devices of that kind there are."""
    import torch

    return torch.cuda.device_count() if kind == "cuda" else 1


def why_not(kind: str) -> str | None:
    """Why a kind of device cannot be had here; None where it can."""
    import torch

    if kind == "cuda" and not torch.cuda.is_available():
        return "this torch was built without CUDA" if torch.version.cuda is None else "torch finds no CUDA GPU"
    if kind == "mps" and not torch.backends.mps.is_available():
        return "this torch was built without MPS" if not torch.backends.mps.is_built() else "torch finds no Apple GPU"
    return None


def default_device() -> str:
    """The GPU where there is one."""
    return "cpu" if why_not("cuda") else "cuda"


def add_device(parser: argparse.ArgumentParser) -> None:
    """`--device`, a torch.device."""
    parser.add_argument(
        "--device", type=device, default=default_device(), help="cpu, cuda, cuda:N or mps; default: %(default)s"
    )


def add_credentials(parser: argparse.ArgumentParser) -> None:
    """`--no-content-credentials`: content_credentials is False."""
    parser.add_argument(
        "--no-content-credentials",
        dest="content_credentials",
        action="store_false",
        help="do not say in the video that a model made it (docs/files.md)",
    )


def _short(text: str) -> str:
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}..."
