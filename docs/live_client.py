"""Steer a live stream from Python, and keep the pictures: what a phone, TouchDesigner or any other hand would do.

    python -m motionstream_core live            # in one terminal
    python docs/live_client.py out          # in another: drags, saves out/00000.jpg ...

Needs aiohttp. The messages are described in docs/live.md, their JSON schema is docs/live.schema.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import time
from pathlib import Path

import aiohttp


async def steer(address: str, out: Path, seconds: float = 4.0) -> dict[str, str]:
    """Start the page's stream, drag for `seconds`, end it; the URLs of its files."""
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{address}/motionstream/live/current") as answer:
            session = (await answer.json())["session"]
        async with http.ws_connect(f"{address}/motionstream/live/{session}", max_msg_size=0) as socket:
            hello = json.loads((await socket.receive()).data)
            dragging = asyncio.create_task(drag(socket, hello["width"], hello["height"], seconds))
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    keep(message.data, out)
                elif (told := json.loads(message.data))["type"] == "ended":
                    files = told["files"]
                    break
            await dragging
    return files


async def drag(socket: aiohttp.ClientWebSocketResponse, width: int, height: int, seconds: float) -> None:
    """Take a grid of 3 x 3 points in hand, move it a third of the frame to the right, let it go."""
    await socket.send_json({"type": "start"})
    begin = time.monotonic()
    while (share := (time.monotonic() - begin) / seconds) < 1:
        at = [width * (0.5 + share / 3), height / 2, time.monotonic() * 1000]
        grid = {"columns": 3, "rows": 3, "dx": width / 20, "dy": height / 20}
        await socket.send_json({"type": "samples", "id": 0, "samples": [at], "grid": grid})
        await asyncio.sleep(1 / 30)
    await socket.send_json({"type": "release", "id": 0})
    await socket.send_json({"type": "stop"})


def keep(data: bytes, out: Path) -> None:
    """Save a chunk's pictures: a length, that long a header in JSON, JPEGs of the sizes that it names."""
    (length,) = struct.unpack("<I", data[:4])
    header, place = json.loads(data[4 : 4 + length]), 4 + length
    for number, size in enumerate(header["sizes"]):
        (out / f"{header['start_frame'] + number:05}.jpg").write_bytes(data[place : place + size])
        place += size


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--address", default="http://127.0.0.1:8189")
    arguments = parser.parse_args()
    print(asyncio.run(steer(arguments.address, arguments.out)))
