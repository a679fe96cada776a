"""The WebSocket of live streams, on aiohttp: `/motionstream/live/{session}`, in a host or on a server of its own.

A session's id is random, and whoever knows it may watch; one steers. Control is JSON, checked by `protocol`; pictures
are binary. Every client has a queue of its own, in which newer pictures push out older ones, so that a slow reader
slows nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections import deque
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from . import protocol
from .protocol import MessageError, read_message
from .run import LiveRun

ROUTE = "/motionstream/live/{session}"
MAX_VIEWERS = 16
MAX_CHUNKS_QUEUED = 8
MAX_TEXTS_QUEUED = 256
MESSAGES_PER_S = 300.0
BURST = 600.0
MAX_FAULTS = 100
STALLED_S = 20.0
CLOCK_SAMPLES = 64


class LiveHub:
    """The live streams of a process by their ids, and who watches and steers each."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}

    def open(self, run: LiveRun) -> str:
        """A new id for a stream."""
        session = secrets.token_urlsafe(16)
        self._rooms[session] = _Room(session, run)
        return session

    def close(self, session: str) -> None:
        """The id is gone; clients that are still there keep their connection until they leave."""
        self._rooms.pop(session, None)

    def room(self, session: str) -> _Room | None:
        return self._rooms.get(session)

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Handler of `ROUTE`; whose requests are let in at all is the server's own business."""
        room = self.room(request.match_info["session"])
        if room is None:
            return web.Response(status=404, text="there is no such live stream; it may have ended")
        if len(room.clients) >= MAX_VIEWERS:
            return web.Response(status=503, text=f"{MAX_VIEWERS} clients watch this stream already")
        socket = web.WebSocketResponse(max_msg_size=protocol.MAX_MESSAGE_BYTES, heartbeat=20.0, compress=False)
        await socket.prepare(request)
        await _Client(socket, request, room, asyncio.get_running_loop()).serve()
        return socket


class _Room:
    """A stream and its clients; the first of `asking` steers next. Touched in the server's loop alone."""

    def __init__(self, session: str, run: LiveRun) -> None:
        self.session, self.run = session, run
        self.clients: list[_Client] = []
        self.steerer: _Client | None = None
        self.asking: deque[_Client] = deque()

    def enter(self, client: _Client) -> None:
        self.clients.append(client)
        self.steerer = self.steerer or client
        self.tell_all(client)

    def leave(self, client: _Client) -> None:
        self.clients.remove(client)
        with contextlib.suppress(ValueError):
            self.asking.remove(client)
        if self.steerer is client:
            self.pass_on()
        self.tell_all()

    def take(self, client: _Client) -> None:
        if self.steerer is None:
            self.steerer = client
        elif self.steerer is not client and client not in self.asking:
            self.asking.append(client)
        self.tell_all()

    def pass_on(self) -> None:
        """Whoever steers does not any longer, and what was in hand is let go."""
        self.run.let_go()
        self.steerer = self.asking.popleft() if self.asking else None

    def tell_all(self, newcomer: _Client | None = None) -> None:
        for client in self.clients:
            if client is not newcomer:
                client.queue_text({"type": "state", **self.run.describe(), **self.about(client)})

    def about(self, client: _Client) -> dict[str, Any]:
        mine = self.steerer is client
        return {"steering": mine, "watchers": len(self.clients), "asked": mine and bool(self.asking)}

    def hello(self, client: _Client) -> dict[str, Any]:
        about = self.run.about
        made = about.recording
        return {
            "type": "hello",
            "version": protocol.VERSION,
            "session": self.session,
            "model": made.model,
            "width": made.width,
            "height": made.height,
            "fps": made.fps,
            "chunk_frames": made.chunk_frames,
            "words": None if about.words is None else list(about.words),
            **self.run.describe(),
            **self.about(client),
        }


class _Client:
    """One WebSocket: reads commands, writes what is queued for it. A `run.Viewer`."""

    def __init__(
        self, socket: web.WebSocketResponse, request: web.Request, room: _Room, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._socket, self._request, self._room, self._loop = socket, request, room, loop
        self._texts: deque[dict[str, Any]] = deque(maxlen=MAX_TEXTS_QUEUED)
        self._chunks: deque[bytes] = deque(maxlen=MAX_CHUNKS_QUEUED)
        self._there = asyncio.Event()
        self._offsets: deque[float] = deque(maxlen=CLOCK_SAMPLES)
        self._budget, self._counted = BURST, time.monotonic()
        self._faults = 0
        self._left = False

    async def serve(self) -> None:
        room, run = self._room, self._room.run
        writing = asyncio.create_task(self._write())
        room.enter(self)
        self.queue_text(room.hello(self))
        run.join(self)
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    await self._read(message.data)
                elif message.type is WSMsgType.BINARY:
                    self._fault(MessageError("", "messages are JSON text"))
                if self._faults > MAX_FAULTS:
                    self._left = True
                    writing.cancel()
                    while self._texts:  # it shall know why
                        await asyncio.wait_for(self._socket.send_str(json.dumps(self._texts.popleft())), STALLED_S)
                    await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many faulty messages")
        finally:
            run.audience.leave(self)
            room.leave(self)
            self._left = True  # beside the cancelling, which wait_for of Python 3.11 may swallow
            self._there.set()
            writing.cancel()
            await asyncio.wait({writing})

    # From the stream's threads.

    def told(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the server's loop has ended
            self._loop.call_soon_threadsafe(self._tell, message)

    def shown(self, packed: bytes) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._queue_chunk, packed)

    # In the server's loop.

    def queue_text(self, message: dict[str, Any]) -> None:
        self._texts.append(message)
        self._there.set()

    def _tell(self, message: dict[str, Any]) -> None:
        self.queue_text(message | self._room.about(self) if message["type"] == "state" else message)

    def _queue_chunk(self, packed: bytes) -> None:
        self._chunks.append(packed)
        self._there.set()

    async def _write(self) -> None:
        while not self._left:
            await self._there.wait()
            self._there.clear()
            while not self._left and (self._texts or self._chunks):
                texts = self._texts
                sending = (
                    self._socket.send_str(json.dumps(texts.popleft()))
                    if texts
                    else self._socket.send_bytes(self._chunks.popleft())
                )
                try:
                    await asyncio.wait_for(sending, STALLED_S)
                except (TimeoutError, ConnectionError):
                    # it does not read: a close would wait for it as well
                    if self._request.transport is not None:
                        self._request.transport.abort()
                    return

    async def _read(self, text: str) -> None:
        if not self._within_rate():
            self._fault(MessageError("", f"more than {MESSAGES_PER_S:g} messages a second; this one was dropped"))
            return
        try:
            await self._obey(read_message(text))
        except MessageError as error:
            self._fault(error)

    async def _obey(self, message: protocol.Message) -> None:
        room, run = self._room, self._room.run
        if isinstance(message, protocol.Ping):
            self._heard(message.t_ms)
            self.queue_text({"type": "pong", "t_ms": message.t_ms})
        elif isinstance(message, protocol.Take):
            room.take(self)
        elif room.steerer is not self:
            raise MessageError("type", "another client steers this stream; send take to ask for it")
        elif isinstance(message, protocol.Yield):
            room.pass_on()
            room.tell_all()
        else:
            if isinstance(message, protocol.Samples):
                self._heard(message.samples[-1][2])
            if isinstance(message, protocol.Prompt | protocol.Play):  # these may compute for a while
                await asyncio.to_thread(run.command, message, self._to_clock)
            else:
                run.command(message, self._to_clock)

    def _heard(self, t_ms: float) -> None:
        """The client's clock said t_ms when its message was sent, which was at most now."""
        self._offsets.append(self._room.run.clock() - t_ms / 1000)

    def _to_clock(self, t_ms: float) -> float:
        """The quickest message of late tells best how the clocks stand."""
        return t_ms / 1000 + min(self._offsets)

    def _within_rate(self) -> bool:
        now = time.monotonic()
        self._budget = min(BURST, self._budget + (now - self._counted) * MESSAGES_PER_S)
        self._counted = now
        self._budget -= 1
        return self._budget >= 0

    def _fault(self, error: MessageError) -> None:
        self._faults += 1
        self.queue_text({"type": "error", "field": error.field, "message": error.message})
