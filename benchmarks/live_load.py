"""A live stream under load: what it takes, what it loses, whom it slows. Prints a table (docs/live.md).

    python benchmarks/live_load.py [--minutes 30]

The page's server runs as a process of its own (the bundled model). Against it: random steering for so long, watchers,
one of which stops reading, malformed messages, clients that come and go, then a kill of the server, after which its
recording is made whole.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import av
import numpy as np
import psutil

PORT = 8290
WATCHERS, MALFORMED, RECONNECTS = 5, 1000, 20
CHUNKS_SEEN = 4
WARM_UP_S = 60.0
"""Of the stream: the states of half a minute are kept, and then the heap settles."""


@dataclass
class Watcher:
    """A client and what came to it: times and numbers of frames, made_ms, delays of its own hands."""

    session: str
    at: list[float] = field(default_factory=list)
    frames: int = 0
    made_ms: list[float] = field(default_factory=list)
    delays: list[tuple[float, float]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Any] = field(default_factory=dict)

    def take(self, message: aiohttp.WSMessage) -> None:
        if message.type is aiohttp.WSMsgType.TEXT:
            text = json.loads(message.data)
            if text["type"] == "ended":
                self.ended = text
            return
        (length,) = struct.unpack("<I", message.data[:4])
        header = self.last = json.loads(message.data[4 : 4 + length])
        if header["index"] < 1 or not header["frame_ms"]:
            return
        now = time.monotonic()
        self.at.append(now)
        self.frames += len(header["sizes"])
        self.made_ms.append(header["made_ms"])
        self.delays += [(now, now * 1000 - each["t_ms"]) for each in header["answers"] if each["first"]]


def url(session: str) -> str:
    return f"http://127.0.0.1:{PORT}/motionstream/live/{session}"


async def current(http: aiohttp.ClientSession) -> str:
    for _ in range(3000):  # a busy machine takes its time
        try:
            async with http.get(url("current")) as answer:
                return (await answer.json())["session"]
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
    raise TimeoutError("the server did not begin")


async def watch(http: aiohttp.ClientSession, watcher: Watcher) -> None:
    async with http.ws_connect(url(watcher.session), max_msg_size=0) as socket:
        async for message in socket:
            watcher.take(message)


async def steer(http: aiohttp.ClientSession, watcher: Watcher, seconds: float, server: psutil.Process) -> list[Any]:
    """Random hands for so long; (frames of the stream, MiB of the server's memory) along the way."""
    memory, rng = [], random.Random(0)
    async with http.ws_connect(url(watcher.session), max_msg_size=0) as socket:

        async def read() -> None:
            async for message in socket:
                watcher.take(message)

        reading = asyncio.create_task(read())
        await socket.send_json({"type": "ping", "t_ms": time.monotonic() * 1000})
        await socket.send_json({"type": "start"})
        begin = time.monotonic()
        hand = 0
        while time.monotonic() - begin < seconds:
            memory.append((watcher.last.get("num_frames", 0), server.memory_info().rss / 2**20))
            hand, x, y = (hand + 1) % 900, rng.uniform(10, 110), rng.uniform(10, 110)
            dx, dy = rng.uniform(-2, 2), rng.uniform(-2, 2)
            for step in range(rng.randint(5, 40)):
                at = [x + dx * step, y + dy * step, time.monotonic() * 1000]
                message = {"type": "samples", "id": hand, "samples": [at]}
                grid = {"grid": {"columns": 3, "rows": 3, "dx": 6, "dy": 6}} if step == 0 else {}
                await socket.send_json(message | grid)
                await asyncio.sleep(0.033)
            await socket.send_json({"type": "release", "id": hand})
            await asyncio.sleep(rng.uniform(0, 1.0))
        await socket.send_json({"type": "stop"})
        await asyncio.wait({reading}, timeout=30)
        reading.cancel()
    return memory


async def stall(session: str) -> Any:
    """A client that reads nothing after its first picture."""
    http = aiohttp.ClientSession()
    socket = await http.ws_connect(url(session), max_msg_size=0)
    await socket.receive()
    connection = socket.get_extra_info("socket")
    assert connection is not None
    assert socket._conn is not None and socket._conn.transport is not None
    socket._conn.transport.pause_reading()  # type: ignore[attr-defined]
    return http, socket


async def pester(http: aiohttp.ClientSession, session: str) -> tuple[int, int]:
    """Malformed messages by clients that are put out, and come back: (answered by an error, put out)."""
    words = [
        "{",
        "[]",
        "null",
        '{"type": "jump"}',
        '{"type": "release", "id": NaN}',
        "\x00" * 50,
    ]
    sent = errors = put_out = 0
    while sent < MALFORMED:
        async with http.ws_connect(url(session), max_msg_size=0) as socket:
            try:
                for _ in range(150):
                    await socket.send_str(random.choice(words))
                    sent += 1
            except ConnectionError:
                pass
            async for message in socket:
                errors += message.type is aiohttp.WSMsgType.TEXT and json.loads(message.data)["type"] == "error"
            put_out += 1
    return errors, put_out


async def come_and_go(http: aiohttp.ClientSession, session: str) -> int:
    """Clients that leave without a word; how many were given a picture at once."""
    given = 0
    for _ in range(RECONNECTS):
        async with http.ws_connect(url(session), max_msg_size=0) as socket:
            for _ in range(4):
                message = await asyncio.wait_for(socket.receive(), 10)
                if message.type is aiohttp.WSMsgType.BINARY:
                    given += 1
                    break
            assert socket._conn is not None and socket._conn.transport is not None
            socket._conn.transport.abort()  # type: ignore[attr-defined]
    return given


async def loaded(minutes: float, server: psutil.Process) -> list[tuple[str, str]]:
    """The rows of the table but the last."""
    seconds = minutes * 60
    async with aiohttp.ClientSession() as http:
        session = await current(http)
        hand = Watcher(session)
        steering = asyncio.create_task(steer(http, hand, seconds, server))
        await asyncio.sleep(min(10.0, seconds / 10))
        watchers = [Watcher(session) for _ in range(WATCHERS)]
        watching = [asyncio.create_task(watch(http, each)) for each in watchers]
        stalled = await stall(session)
        await asyncio.sleep(seconds * 0.3)
        before = list(hand.made_ms)
        mark = len(hand.made_ms)
        errors, put_out = await pester(http, session)
        given = await come_and_go(http, session)
        while len(hand.made_ms) < mark + CHUNKS_SEEN and not steering.done():  # it may come too fast for a chunk
            await asyncio.sleep(0.5)
        during = hand.made_ms[mark:]
        memory = await steering
        await asyncio.wait(watching, timeout=20)
        await stalled[0].close()
        async with http.get(f"http://127.0.0.1:{PORT}{hand.ended['files']['log']}") as answer:
            log = json.loads(await answer.text())
    warm = np.array([each for each in memory if each[0] > WARM_UP_S * log["fps"]])
    if len(warm) < 2:
        raise RuntimeError(
            f"only {log['num_frames']} frames were made, fewer than it takes to warm up: take more minutes"
        )
    slope = np.polyfit(warm[:, 0] / log["fps"] / 60, warm[:, 1], 1)[0]
    third = (hand.at[-1] - hand.at[0]) / 3
    early = [ms for at, ms in hand.delays if at < hand.at[0] + third]
    late = [ms for at, ms in hand.delays if at > hand.at[-1] - third]
    rate = hand.frames / (hand.at[-1] - hand.at[0])
    return [
        (f"{minutes:g} minutes of random steering", f"{log['num_frames']} frames recorded, {rate:.2f} a second"),
        ("memory after warm-up", f"{slope:+.2f} MiB a minute of video ({warm[0, 1]:.0f} to {warm[-1, 1]:.0f} MiB)"),
        ("drag to the answer's arrival, first and last third", f"{median(early):.0f} ms, {median(late):.0f} ms"),
        (f"{WATCHERS} watchers", f"{min(each.frames for each in watchers)} frames at least came to each"),
        (
            "first frames of a chunk, before what follows and with it",
            f"{median(before):.0f} ms, {median(during):.0f} ms",
        ),
        (f"{MALFORMED} malformed messages", f"{errors} answered by an error, {put_out} clients put out"),
        (f"{RECONNECTS} clients that came and went", f"{given} were shown a picture at once"),
    ]


async def until_killed(server: subprocess.Popen[bytes]) -> int:
    """Frames that a client saw before the server was killed in mid-stream."""
    async with aiohttp.ClientSession() as http:
        watcher = Watcher(await current(http))
        async with http.ws_connect(url(watcher.session), max_msg_size=0) as socket:
            await socket.send_json({"type": "start"})
            async for message in socket:
                watcher.take(message)
                if watcher.last.get("index", 0) >= 20:
                    os.kill(server.pid, signal.SIGKILL)
                    break
    server.wait()
    return watcher.last["num_frames"]


def begin(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "motionstream_core", "live", "--no-browser", "--port", str(PORT)]
    return subprocess.Popen([*command, "--out", str(folder)], stdout=subprocess.PIPE)


def main() -> None:
    parser = argparse.ArgumentParser(description="A live stream under load")
    parser.add_argument("--minutes", type=float, default=30)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = begin(folder)
        try:
            rows = asyncio.run(loaded(args.minutes, psutil.Process(server.pid)))
            seen = asyncio.run(until_killed(server))
        finally:
            server.kill()
        again = begin(folder)
        assert again.stdout is not None
        told = ""
        for line in again.stdout:
            told += line.decode()
            if b"http" in line:  # it is ready
                break
        again.terminate()
        again.wait()
        found = re.search(r"\S+\.mp4", told)
        with av.open(found.group() if found else str(folder)) as file:
            kept = sum(1 for _ in file.decode(video=0))
    rows.append(("kill -9 of the server in mid-stream", f"{seen} frames seen, {kept} in the mended mp4"))
    print("| what | result |\n|---|---|")
    for what, result in rows:
        print(f"| {what} | {result} |")


if __name__ == "__main__":
    main()
