"""A ComfyUI in a thread, as far as a client of its queue can tell: it takes prompts, tells of them, fails and dies."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

INT = ["INT", {"default": 0, "min": 0, "max": 1000}]
INFO: dict[str, Any] = {
    "MotionStreamPicture": {"input": {"required": {"image": ["COMBO", {"options": ["bundled/three_shapes"]}]}}},
    "MotionStreamTracksFromJSON": {
        "input": {"required": {"coordinates": ["STRING", {}], "width": INT, "height": INT, "length": INT}}
    },
    "MotionStreamStudentStreamer": {
        "input": {
            "required": {"prompt": ["STRING", {}], "seed": INT, "length": INT, "fit": ["COMBO", {"options": ["crop"]}]},
            "optional": {"image": ["IMAGE", {}], "motion": ["TRACKS", {}]},
        }
    },
    "MotionStreamSaveJob": {"input": {"required": {"video": ["VIDEO", {}], "job_id": ["STRING", {}]}}},
}
GRAPH: dict[str, Any] = {
    "1": {"class_type": "MotionStreamPicture", "inputs": {"image": "bundled/three_shapes"}},
    "2": {
        "class_type": "MotionStreamTracksFromJSON",
        "inputs": {"coordinates": "[[[1, 1], [2, 2]]]", "width": 64, "height": 64, "length": 13},
    },
    "3": {
        "class_type": "MotionStreamStudentStreamer",
        "inputs": {"prompt": "", "seed": 0, "length": 13, "fit": "crop", "image": ["1", 0], "motion": ["2", 0]},
        "_meta": {"title": "Streamer"},
    },
    "4": {"class_type": "MotionStreamSaveJob", "inputs": {"video": ["3", 5], "job_id": "job"}},
}

Fate = Callable[[str, int], str]
"""What becomes of a job (job_id, how often it came): "" ends well, "cancelled", or an error's words."""


class FakeServer:
    """`posted`: (job_id, prompt_id, graph) of every prompt ever taken. `gate` closed: what runs does not end.

    takes_s: what runs takes at least so long.
    """

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.posted: list[tuple[str, str, dict[str, Any]]] = []
        self.uploads: list[str] = []
        self.takes_s = 0.0
        self.fate: Fate = lambda job_id, times: ""
        self.refuses: set[str] = set()
        self.info = INFO
        self.gate = threading.Event()
        self.gate.set()

    def start(self) -> None:
        """With an empty queue and history, as any that starts."""
        self.history: dict[str, Any] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._listeners: set[web.WebSocketResponse] = set()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def stop(self) -> None:
        """At once, whatever runs."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def jobs(self) -> list[str]:
        """The job_ids that came, in their order."""
        return [job_id for job_id, *_ in self.posted]

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_get("/system_stats", self._stats)
        app.router.add_get("/object_info/{kind}", self._kind)
        app.router.add_get("/queue", self._queue)
        app.router.add_get("/history/{prompt_id}", self._entry)
        app.router.add_get("/ws", self._listen)
        app.router.add_post("/prompt", self._prompt)
        app.router.add_post("/upload/image", self._upload)
        runner = web.AppRunner(app, shutdown_timeout=0.0)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", self.port).start())
        ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _kind(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        return web.json_response({kind: self.info[kind]} if kind in self.info else {})

    async def _queue(self, _: web.Request) -> web.Response:
        running = [[0, prompt_id, {}] for prompt_id in self._running]
        return web.json_response({"queue_running": running[:1], "queue_pending": running[1:]})

    async def _entry(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        return web.json_response({prompt_id: self.history[prompt_id]} if prompt_id in self.history else {})

    async def _listen(self, request: web.Request) -> web.WebSocketResponse:
        news = web.WebSocketResponse()
        await news.prepare(request)
        self._listeners.add(news)
        async for message in news:
            if message.type == WSMsgType.ERROR:
                break
        self._listeners.discard(news)
        return news

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form["image"]
        assert isinstance(image, web.FileField)
        self.uploads.append(image.filename)
        return web.json_response({"name": image.filename, "subfolder": form["subfolder"], "type": "input"})

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        job_id = body["prompt"]["4"]["inputs"]["job_id"]
        self.posted.append((job_id, body["prompt_id"], body["prompt"]))
        if job_id in self.refuses:
            error = {"message": "Value not in list", "details": "fit: 'odd'"}
            nodes = {"3": {"class_type": "MotionStreamStudentStreamer", "errors": [error]}}
            return web.json_response({"error": error, "node_errors": nodes}, status=400)
        work = self._work(job_id, body["prompt_id"])
        self._running[body["prompt_id"]] = asyncio.get_running_loop().create_task(work)
        return web.json_response({"prompt_id": body["prompt_id"], "number": 1, "node_errors": {}})

    async def _work(self, job_id: str, prompt_id: str) -> None:
        while next(iter(self._running)) != prompt_id or not self.gate.is_set():
            await asyncio.sleep(0.01)
        await self._tell("progress", prompt_id, value=1, max=2, node="3")
        await asyncio.sleep(self.takes_s)
        error = self.fate(job_id, self.jobs().count(job_id))
        file = {"filename": f"{job_id}.mp4", "subfolder": "queue", "type": "output"}
        entry: dict[str, Any] = {"outputs": {"4": {"images": [file]}}, "status": {"status_str": "success"}}
        if error:
            words = {"exception_message": error, "node_type": "MotionStreamStudentStreamer"}
            kind = "execution_interrupted" if error == "cancelled" else "execution_error"
            entry = {"outputs": {}, "status": {"status_str": "error", "messages": [[kind, words]]}}
        self.history[prompt_id] = entry
        del self._running[prompt_id]
        await self._tell("executing", prompt_id, node=None)

    async def _tell(self, kind: str, prompt_id: str, **data: Any) -> None:
        for news in list(self._listeners):
            await news.send_bytes(b"a preview")
            await news.send_str(json.dumps({"type": kind, "data": {"prompt_id": prompt_id, **data}}))
