"""The way into every command: what goes wrong is one line and an exit status, never a traceback.

2: an error; 130: Ctrl-C; 143: SIGTERM; 141: whoever read the output went away. `--debug` shows the traceback.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

FAILED, READER_GONE = 2, 128 + 13
LONGEST = 2000
"""Characters of an error's line; a hostile file may have a name, or a header, of any length."""


@dataclass(frozen=True)
class Command:
    """options: adds what can be given; run: does it, its number is the exit status (None: 0)."""

    description: str
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]


@dataclass(frozen=True)
class Place:
    """Where a command is, as "package.module:NAME"; imported when it is called. help: a line for the list."""

    where: str
    help: str

    def load(self) -> Command:
        """The command; torch and all that it needs come with it."""
        module, _, name = self.where.partition(":")
        return getattr(import_module(module), name)


class Terminated(SystemExit):
    """SIGTERM came. A SystemExit, since an event loop lets no other kind but KeyboardInterrupt out of its callbacks."""


class _Parser(argparse.ArgumentParser):
    """One line for what cannot be read, where argparse writes its whole usage too."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"{self.prog}: {one_line(message)} ({self.prog} --help lists what there is)\n")


def enter(prog: str, place: Place, arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return _guarded(prog, "--debug" in given, lambda: _run(prog, place, given))


def enter_tree(prog: str, description: str, places: Mapping[str, Place], arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; the exit status. Nothing but that command is imported."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in places:
        return enter(f"{prog} {given[0]}", places[given[0]], given[1:])
    width = max(map(len, places)) + 2
    listed = "\n".join(f"  {name:{width}}{place.help}" for name, place in places.items())
    parser = _Parser(
        prog=prog,
        description=f"{description}\n\ncommands:\n{listed}\n\n{prog} COMMAND --help says more of one.",
        usage=f"{prog} COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", metavar="COMMAND", choices=list(places), help=argparse.SUPPRESS)
    return _guarded(prog, False, lambda: _listed(parser, given))


def one_line(text: object) -> str:
    """The first line of an error's message; characters that would move a terminal's cursor are spelled out."""
    line = str(text).strip().split("\n", 1)[0]
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in line)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]} ..."


def _run(prog: str, place: Place, arguments: list[str]) -> int:
    command = place.load()
    parser = _Parser(prog=prog, description=command.description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debug", action="store_true", help="show where an error came from")
    command.options(parser)
    return command.run(parser.parse_args(arguments)) or 0


def _listed(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    parser.parse_args(arguments or ["--help"])
    return 0


def _guarded(prog: str, debug: bool, run: Callable[[], int]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names of files may hold what no terminal can show
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        with _terminable():
            status = run()
            sys.stdout.flush()
            return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes it once more
        return READER_GONE
    except KeyboardInterrupt:
        return _ended(prog, debug, "interrupted", 128 + signal.SIGINT)
    except Terminated:
        return _ended(prog, debug, "terminated", 128 + signal.SIGTERM)
    except SystemExit as left:  # argparse's way out of --help and of what it cannot read
        return left.code if isinstance(left.code, int) else 0
    except Exception as error:
        return _ended(prog, debug, _said(error), FAILED)


def _ended(prog: str, debug: bool, text: str, status: int) -> int:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"{prog}: {text}\n")
    return status


def _said(error: Exception) -> str:
    """An error in one line; those that no message was written for bear their kind's name."""
    text = one_line(error)
    if isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text:
        return f"there is not enough memory ({text or 'nothing more is known'}); ask for less: size, frames or points"
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return "torch is not installed; pip install 'motionstream-comfyui[standalone]', or use the Python of ComfyUI"
    if isinstance(error, ValueError | OSError | ImportError) and text:
        return text
    return f"{type(error).__name__}: {text} (--debug shows where it comes from)"


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM raises Terminated, so that files are closed and half-written ones removed; a second one kills."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            end()
        else:
            loop.call_soon_threadsafe(end)  # raised here, a library might take it for a fault of its connection

    def end() -> NoReturn:
        raise Terminated

    before: Any = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
