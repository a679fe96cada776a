"""One ComfyUI server, spoken to as its page does: prompts, files, the queue, and news by WebSocket."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from ..entry import one_line
from .jobs import SentFile
from .workflow import Graph

GONE = (aiohttp.ClientError, asyncio.TimeoutError, OSError)
"""What a server that has gone away raises."""
FOLDER = "motionstream_queue"
LOOK_AFTER_S = 2.0
_ANSWER_S = 60.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0

Progress = Callable[[float], None]
"""Told how much of a job is done, 0 to 1; of a node at a time, as servers tell it."""


class RefusedError(ValueError):
    """The server does not take the prompt; it would not take it another time either."""


class VanishedError(Exception):
    """The server knows nothing of a prompt that it was sent: it was started anew, or its queue was emptied."""


@dataclass(frozen=True)
class Ended:
    """How a prompt ended. files: what was saved, below the server's output folder. error: "" where it ended well.

    again: whether it may end better another time; not where somebody cancelled it.
    """

    files: tuple[str, ...] = ()
    error: str = ""
    again: bool = True


class Server:
    """A server at `url`. All methods raise what GONE lists where it does not answer."""

    def __init__(self, url: str, session: aiohttp.ClientSession, client_id: str) -> None:
        self.url, self._session, self._client_id = url.rstrip("/"), session, client_id
        self._sent: dict[SentFile, str] = {}

    async def info(self, kind: str) -> dict[str, Any]:
        """What it tells of a class of node; empty where it has none of it."""
        return (await self._get(f"/object_info/{kind}")).get(kind, {})

    async def wait(self, limit_s: float) -> bool:
        """Whether it answers within so many seconds."""
        deadline, pause = time.monotonic() + limit_s, _FIRST_WAIT_S
        while True:
            try:
                await self._get("/system_stats")
                return True
            except GONE:
                if time.monotonic() + pause > deadline:
                    return False
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_WAIT_S)

    def forget(self) -> None:
        """Take none of the sent files for granted: a server that was away may come back with new folders."""
        self._sent.clear()

    async def send(self, file: SentFile) -> str:
        """Put a file into its input folder, once. Returns its name there. Raises RefusedError where it is not taken."""
        if file not in self._sent:
            form = aiohttp.FormData()
            form.add_field("image", _content(file), filename=file.name, content_type="application/octet-stream")
            form.add_field("subfolder", FOLDER)
            form.add_field("overwrite", "true")  # the name says the content
            # a file may take its time, as long as it goes on
            limit = aiohttp.ClientTimeout(total=None, sock_connect=_ANSWER_S, sock_read=_ANSWER_S)
            async with self._session.post(f"{self.url}/upload/image", data=form, timeout=limit) as answer:
                if answer.status >= 400:
                    raise RefusedError(f"{file.path.name} is not taken ({answer.status} {answer.reason})")
                said = await answer.json()
            self._sent[file] = "/".join(filter(None, (said.get("subfolder", ""), said["name"])))
        return self._sent[file]

    async def post(self, prompt_id: str, graph: Graph) -> None:
        """Put a prompt into its queue. Raises RefusedError with its reasons."""
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": self._client_id}
        async with self._session.post(f"{self.url}/prompt", json=body, timeout=_limit()) as answer:
            if answer.status == 400:
                raise RefusedError(_reasons(await answer.text()))
            answer.raise_for_status()
            taken = (await answer.json()).get("prompt_id")
        if taken != prompt_id:
            raise RefusedError("this ComfyUI does not let a client name its prompts; update it")

    async def follow(self, prompt_id: str, progress: Progress) -> Ended:
        """How a prompt ends, once it does. Raises VanishedError where the server no longer knows it."""
        address = f"{self.url}/ws?clientId={self._client_id}"
        async with self._session.ws_connect(address, max_msg_size=0, heartbeat=_ANSWER_S) as news:
            while True:
                queued = await self._is_queued(prompt_id)  # asked first: what leaves the queue is in the history
                ended = await self._ended(prompt_id)
                if ended is not None:
                    return ended
                if not queued:
                    raise VanishedError(prompt_id)
                await self._listen(news, prompt_id, progress)

    async def _listen(self, news: aiohttp.ClientWebSocketResponse, prompt_id: str, progress: Progress) -> None:
        """Hand progress on until the prompt ends, or until it is time to look for oneself."""
        deadline = time.monotonic() + LOOK_AFTER_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = await news.receive(timeout=left)
            except asyncio.TimeoutError:
                return
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
                raise aiohttp.ServerDisconnectedError
            if message.type == aiohttp.WSMsgType.ERROR:
                raise aiohttp.ClientConnectionError(str(news.exception()))
            if message.type != aiohttp.WSMsgType.TEXT:  # previews
                continue
            told = json.loads(message.data)
            data = told.get("data") or {}
            if data.get("prompt_id") != prompt_id:
                continue
            if told.get("type") == "progress" and data.get("max"):
                progress(min(1.0, data["value"] / data["max"]))
            if told.get("type") == "executing" and data.get("node") is None:  # said when it is in the history
                return

    async def _is_queued(self, prompt_id: str) -> bool:
        queue = await self._get("/queue")
        return any(entry[1] == prompt_id for name in ("queue_running", "queue_pending") for entry in queue[name])

    async def _ended(self, prompt_id: str) -> Ended | None:
        entry = (await self._get(f"/history/{prompt_id}")).get(prompt_id)
        return None if entry is None else ended_of(entry)

    async def _get(self, path: str) -> Any:
        async with self._session.get(f"{self.url}{path}", timeout=_limit()) as answer:
            answer.raise_for_status()
            return await answer.json()


def _content(file: SentFile) -> bytes:
    """Raises RefusedError where it is not what it was when the manifest was checked."""
    try:
        content = file.path.read_bytes()
    except OSError as error:
        raise RefusedError(f"{file.path} can no longer be read ({error.strerror})") from None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise RefusedError(f"{file.path} was changed while the queue ran; start the command again")
    return content


def ended_of(entry: dict[str, Any]) -> Ended:
    """What an entry of the history says."""
    status = entry.get("status") or {}
    if status.get("status_str") == "success":
        return Ended(_saved(entry.get("outputs") or {}))
    said = dict(each for each in status.get("messages", []) if len(each) == 2)
    if "execution_interrupted" in said:
        return Ended(error="cancelled at the server", again=False)
    error = said.get("execution_error", {})
    where = f"{error.get('node_type', 'a node')}: " if error else ""
    return Ended(error=one_line(f"{where}{error.get('exception_message', 'it failed and did not say why')}"))


def _saved(outputs: dict[str, Any]) -> tuple[str, ...]:
    lists = [each for output in outputs.values() for each in output.values() if isinstance(each, list)]
    files = [file for each in lists for file in each if isinstance(file, dict) and file.get("type") == "output"]
    return tuple("/".join(filter(None, (file.get("subfolder", ""), file["filename"]))) for file in files)


def _reasons(text: str) -> str:
    try:
        said = json.loads(text)
        errors = [
            f"{node['class_type']}: {error['message']} {error['details']}"
            for node in said["node_errors"].values()
            for error in node["errors"]
        ]
        return one_line("; ".join(errors) or f"{said['error']['message']} {said['error']['details']}")
    except (ValueError, KeyError, TypeError, AttributeError):
        return one_line(text) or "it did not say why"


def _limit() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=_ANSWER_S)
