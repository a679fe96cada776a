"""The way into every command: a signal ends it wherever it comes."""

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from motionstream_core.entry import Command, Place, enter


async def _in_a_callback() -> None:
    """As most signals find a program that waits: between two tasks, in the event loop's own code."""
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
    await asyncio.sleep(20)


async def _in_a_task() -> None:
    other = asyncio.create_task(_ended())
    await asyncio.sleep(20)
    await other


async def _ended() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def _in_a_library() -> None:
    """One that takes whatever is raised in it for a fault of its own, as aiohttp does while it reads."""

    def reads() -> None:
        with contextlib.suppress(BaseException):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)

    asyncio.get_running_loop().call_soon(reads)
    await asyncio.sleep(20)


def _no_options(_parser: argparse.ArgumentParser) -> None:
    pass


def _waits(main: object) -> Command:
    return Command("waits", _no_options, lambda _args: asyncio.run(main()))  # type: ignore[operator]


IN_A_CALLBACK, IN_A_TASK, IN_A_LIBRARY = _waits(_in_a_callback), _waits(_in_a_task), _waits(_in_a_library)


@pytest.mark.parametrize("command", ["IN_A_CALLBACK", "IN_A_TASK", "IN_A_LIBRARY"])
def test_a_signal_gets_out_of_an_event_loop(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert enter("waiting", Place(f"{__name__}:{command}", ""), []) == 143
    assert capsys.readouterr().err == "waiting: terminated\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_without_torch_it_says_what_to_install() -> None:
    script = "import sys; sys.modules['torch'] = None; from motionstream_core.__main__ import main; main(['doctor'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr.startswith("motionstream doctor: torch is not installed; pip install 'motionstream-comfyui[")
