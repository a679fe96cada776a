"""Posts a prompt as a browser does and prints what it is told: run by the host's Python, which has aiohttp.

Arguments: port, file with the prompt. Prints JSON: ended, max, values (of the streamer's progress), previews (sizes).
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image

ENDS = ("execution_success", "execution_error", "execution_interrupted")
HEADER_BYTES = 8  # event type and image format


async def watch(port: int, prompt: dict[str, Any]) -> dict[str, Any]:
    """What a client is told from posting `prompt` to its end."""
    streamer = next(key for key, node in prompt.items() if node["class_type"] == "MotionStreamStudentStreamer")
    seen: dict[str, Any] = {"ended": None, "max": None, "values": [], "previews": []}
    address = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}/ws?clientId=watcher") as socket:
        await session.post(f"{address}/prompt", json={"prompt": prompt, "client_id": "watcher"})
        async for message in socket:
            if message.type == aiohttp.WSMsgType.BINARY:
                with Image.open(io.BytesIO(message.data[HEADER_BYTES:])) as image:
                    seen["previews"].append(image.size)
                continue
            event = json.loads(message.data)
            if event["type"] == "progress" and event["data"]["node"] == streamer:
                seen["values"].append(event["data"]["value"])
                seen["max"] = event["data"]["max"]
            if event["type"] in ENDS:
                seen["ended"] = event["type"]
                break
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(watch(int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text("utf-8"))))))
