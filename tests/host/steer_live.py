"""Queues a live workflow as a script does, and steers it by its WebSocket: run by the host's Python, which has aiohttp.

Arguments: port, file with the prompt. Prints JSON: hello, answers (hands that chunks answered), num_frames (of the last
chunk), ended, finished (the host's own event), others (live events that reached another client).
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

ENDS = ("execution_success", "execution_error", "execution_interrupted")
MOVES, HAND = 30, 3


async def steer(port: int, prompt: dict[str, Any]) -> dict[str, Any]:
    """What a client is told from posting `prompt` to its end."""
    address = f"http://127.0.0.1:{port}"
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{address}/ws?clientId=other") as other,
        http.ws_connect(f"{address}/ws?clientId=steerer") as events,
    ):
        answer = await http.post(f"{address}/prompt", json={"prompt": prompt, "client_id": "steerer"})
        answer.raise_for_status()
        told = await _event(events, "motionstream.live")
        seen = await _live(http, f"{address}/motionstream/live/{told['session']}")
        ended = await _event(events, *ENDS)
        seen["finished"] = ended["type"]
        seen["others"] = await _heard(other)
    return seen


async def _live(http: aiohttp.ClientSession, address: str) -> dict[str, Any]:
    """Start, drag for two seconds, stop."""
    seen: dict[str, Any] = {"answers": [], "num_frames": 0}
    async with http.ws_connect(address) as socket:
        await socket.send_json({"type": "start"})
        hand = asyncio.create_task(_drag(socket))
        async for message in socket:
            if message.type == aiohttp.WSMsgType.BINARY:
                header = _header(message.data)
                seen["answers"] += [answer["id"] for answer in header["answers"]]
                seen["num_frames"] = header["num_frames"]
                continue
            said = json.loads(message.data)
            if said["type"] in ("hello", "ended"):
                seen[said["type"]] = said
            if said["type"] == "ended":
                break
        await hand
    return seen


async def _drag(socket: aiohttp.ClientWebSocketResponse) -> None:
    grid = {"columns": 5, "rows": 5, "dx": 6, "dy": 6}
    for move in range(MOVES):
        sample = [34 + move, 31 + move / 2, time.monotonic() * 1000]
        first = {"grid": grid} if move == 0 else {}
        await socket.send_json({"type": "samples", "id": HAND, "samples": [sample], **first})
        await asyncio.sleep(2 / MOVES)
    await asyncio.sleep(2)
    await socket.send_json({"type": "release", "id": HAND})
    await socket.send_json({"type": "stop"})


def _header(packed: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", packed)
    return json.loads(packed[4 : 4 + length])


async def _event(socket: aiohttp.ClientWebSocketResponse, *kinds: str) -> dict[str, Any]:
    async for message in socket:
        if message.type == aiohttp.WSMsgType.TEXT and (event := json.loads(message.data))["type"] in kinds:
            return {"type": event["type"], **event["data"]}
    raise ConnectionError(f"the host closed before it told of {kinds}")


async def _heard(socket: aiohttp.ClientWebSocketResponse) -> list[str]:
    """Live events that have come so far."""
    heard = []
    while True:
        try:
            message = await socket.receive(timeout=0.5)
        except TimeoutError:
            return heard
        if message.type == aiohttp.WSMsgType.TEXT and "motionstream" in message.data:
            heard.append(message.data)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(steer(int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text("utf-8"))))))
