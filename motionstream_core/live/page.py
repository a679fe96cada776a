"""Live without a host: a page on a local server, one stream after another of one model."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
from aiohttp import web
from numpy.typing import NDArray
from PIL import Image

from ..media.faults import MediaError
from ..media.picture import read_picture
from .open import Opened
from .run import LiveAbout, LiveRun
from .server import ROUTE, LiveHub

INSTALLED, CHECKOUT = Path(__file__).parents[1] / "js", Path(__file__).parents[2] / "js"
JS = INSTALLED if INSTALLED.is_dir() else CHECKOUT
"""What the page is made of: inside the package in a wheel, beside it in a checkout."""
PICTURE_BYTES = 64 * 2**20
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
OPEN_S = 120.0


@dataclass
class LivePage:
    """Streams of one opened model, each begun by the page, one at a time; a stream that ended is followed by the next.

    token: what a client must name in its query, for a server that others can reach. folder: of the recordings.
    credentials: the recordings say that a model made them.
    """

    opened: Opened
    prompt: str
    picture: NDArray[np.uint8] | None
    folder: Path
    token: str = ""
    words: tuple[str, ...] | None = None
    hold: bool = False
    credentials: bool = True
    hub: LiveHub = field(default_factory=LiveHub)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._current: tuple[str, LiveRun] | None = None
        self._next: NDArray[np.uint8] | None = None
        self._closing = False
        self._failure: BaseException | None = None
        self._worker = threading.Thread(target=self._work, name="motionstream-live", daemon=True)

    def app(self) -> web.Application:
        """The server; it opens the first stream when it starts, and ends what runs when it stops."""
        app = web.Application(client_max_size=PICTURE_BYTES, middlewares=[self._guard])
        app.router.add_get("/", self._index)
        app.router.add_get("/motionstream/live/current", self._get_current)
        app.router.add_post("/motionstream/live/picture", self._post_picture)
        app.router.add_get("/motionstream/live/files/{name}", self._get_file)
        app.router.add_get(ROUTE, self.hub.socket)
        app.router.add_static("/js/", JS)
        app.on_startup.append(self._start)
        app.on_shutdown.append(self._stop)
        return app

    # The server's side.

    async def _start(self, app: web.Application) -> None:
        self._worker.start()

    async def _stop(self, app: web.Application) -> None:
        with self._changed:
            self._closing = True
            current = self._current
            self._changed.notify_all()
        if current is not None:
            current[1].stop("the server ended")
        await asyncio.to_thread(self._worker.join)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        host = urlsplit("//" + request.headers.get("Host", "")).hostname
        if not self.token and host not in LOOPBACK:  # another name for this machine, as a strange page may give it
            raise web.HTTPForbidden(text="this server answers to localhost alone")
        if not _same_origin(request):
            raise web.HTTPForbidden(text="another page's request")
        if self.token and not request.path.startswith("/js/") and not self._knows_token(request):
            raise web.HTTPForbidden(text="the address needs its token: open the one that was printed")
        response = await handler(request)
        if not response.prepared:
            response.headers["Cache-Control"] = "no-cache"
        return response

    def _knows_token(self, request: web.Request) -> bool:
        return secrets.compare_digest(request.query.get("token", "").encode(), self.token.encode())

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=(JS / "live" / "page.html").read_text(encoding="utf-8"), content_type="text/html")

    async def _get_current(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(None)

    async def _post_picture(self, request: web.Request) -> web.StreamResponse:
        posted = (await request.post()).get("image")
        if not isinstance(posted, web.FileField):
            raise web.HTTPBadRequest(text="image: send one picture as the form's field `image`")
        content = posted.file.read()
        try:
            picture = await asyncio.to_thread(self._read_picture, content)
        except MediaError as error:
            raise web.HTTPBadRequest(text=f"image: {posted.filename} {error.fault}") from None
        return await self._answer(picture)

    async def _get_file(self, request: web.Request) -> web.StreamResponse:
        path = self.folder / Path(request.match_info["name"]).name
        if not path.is_file() or path.name.startswith("."):
            raise web.HTTPNotFound()
        return web.FileResponse(path)

    async def _answer(self, picture: NDArray[np.uint8] | None) -> web.StreamResponse:
        try:
            return web.json_response({"session": await asyncio.to_thread(self._turn_to, picture)})
        except RuntimeError as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from None

    def _read_picture(self, content: bytes) -> NDArray[np.uint8]:
        return self.opened.fitted(Image.fromarray(read_picture(content).pixels))

    def _turn_to(self, picture: NDArray[np.uint8] | None) -> str:
        """The id of the stream that runs or waits; with a picture, of a new one that begins with it."""
        with self._changed:
            before = self._current
            if picture is not None:
                self._next = picture
                if before is not None:
                    before[1].stop("another picture")

            def ready() -> bool:
                fresh = self._current is not None and (picture is None or self._current is not before)
                return fresh or self._closing or self._failure is not None

            if not self._changed.wait_for(ready, OPEN_S) or self._current is None or self._closing:
                raise RuntimeError(f"no stream could be opened: {self._failure or 'it takes too long'}")
            return self._current[0]

    # The worker's side.

    def _work(self) -> None:
        while not self._closing:
            try:
                session, run = self._open()
            except Exception as error:  # it would not open the next time either
                logging.exception("MotionStream: no live stream can be opened")
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                return
            try:
                for _ in run.run():
                    pass
            except Exception:  # its viewers were told; what was recorded is kept, and the next stream may do better
                logging.exception("MotionStream: the live stream failed")
            finally:
                with self._changed:
                    self._current = None
                self.prompt, self.hold = run.prompt, run.holds
                self.hub.close(session)

    def _open(self) -> tuple[str, LiveRun]:
        picture = self.picture if self._next is None else self._next
        self.picture, self._next = picture, None
        self.opened.renderer.settle()
        run = LiveRun(
            lambda hooks: self.opened.session(picture, self.prompt, hooks),
            LiveAbout(self.opened.about(self.prompt), self.words, hold=self.hold),
            picture,
            self.folder,
            wait_s=float("inf"),
            device=self.opened.renderer.device,
            file_url=self._file_url,
            credentials=self.credentials,
        )
        session = self.hub.open(run)
        with self._changed:
            self._current = (session, run)
            self._changed.notify_all()
            if self._closing or self._next is not None:
                run.stop("another picture")
        return session, run

    def _file_url(self, path: Path) -> str:
        query = f"?token={quote(self.token)}" if self.token else ""
        return f"/motionstream/live/files/{quote(path.name)}{query}"


def _same_origin(request: web.Request) -> bool:
    """Whether a request comes from a page of this server, or from no page at all."""
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return False
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower()


@contextlib.contextmanager
def serving(page: LivePage, host: str = "127.0.0.1", port: int = 0):
    """The page served by a thread of its own, for tests and benchmarks; gives its address."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(page.app())

    async def begin() -> int:
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        await site.start()
        assert site._server is not None
        return site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    bound = asyncio.run_coroutine_threadsafe(begin(), loop).result(60)
    try:
        yield f"http://{host}:{bound}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
