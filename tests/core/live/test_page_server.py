"""The page's server, by a client in Python: who may do what, and what comes back; pictures are looked into."""

from __future__ import annotations

import asyncio
import io
import json
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
import pytest
import torch
from PIL import Image

from motionstream_core.live import server
from motionstream_core.live.open import Log, Opened, replayed
from motionstream_core.live.page import LivePage, serving

from .conftest import PICTURE, PROMPT

PATIENCE_S = 60.0


@pytest.fixture
def page(make_opened: Callable[..., Opened], tmp_path: Path) -> Iterator[LivePage]:
    yield LivePage(make_opened(), PROMPT, PICTURE, tmp_path, words=("a", "red", "circle"))


class Client:
    """One WebSocket; keeps what came."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self.socket, self.session, self.texts, self.chunks = socket, session, [], []

    async def say(self, **message: Any) -> None:
        await self.socket.send_str(json.dumps(message))

    async def hear(self, **wanted: Any) -> dict[str, Any]:
        """The next message with these fields; the others are kept."""
        while True:
            message = await asyncio.wait_for(self.socket.receive(), PATIENCE_S)
            if message.type is aiohttp.WSMsgType.TEXT:
                read = json.loads(message.data)
                self.texts.append(read)
            elif message.type is aiohttp.WSMsgType.BINARY:
                (length,) = struct.unpack("<I", message.data[:4])
                read = json.loads(message.data[4 : 4 + length])
                self.chunks.append((read, message.data[4 + length :]))
            else:
                raise ConnectionError(f"closed with {self.socket.close_code}")
            if all(read.get(key) == value for key, value in wanted.items()):
                return read


@asynccontextmanager
async def client(address: str, session: str | None = None, **headers: str) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        if session is None:
            session = await current(http, address)
        async with http.ws_connect(f"{address}/motionstream/live/{session}", headers=headers) as socket:
            yield Client(socket, session)


async def current(http: aiohttp.ClientSession, address: str) -> str:
    async with http.get(f"{address}/motionstream/live/current") as answer:
        return (await answer.json())["session"]


def play(page: LivePage, story: Callable[[str], Any]) -> Any:
    with serving(page) as address:
        return asyncio.run(asyncio.wait_for(story(address), 3 * PATIENCE_S))


def test_a_stream_from_start_to_files(page: LivePage, make_opened: Callable[..., Opened]) -> None:
    async def story(address: str) -> None:
        async with client(address) as hand:
            hello = await hand.hear(type="hello")
            assert (hello["width"], hello["height"], hello["fps"], hello["chunk_frames"]) == (48, 32, 16.0, 12)
            assert (hello["state"], hello["steering"], hello["watchers"]) == ("ready", True, 1)
            assert hello["words"] == ["a", "red", "circle"] and hello["prompt"] == PROMPT
            picture = await hand.hear(type="chunk", index=-1)
            assert picture["reset"] and picture["num_frames"] == 0
            shown = np.asarray(Image.open(io.BytesIO(hand.chunks[-1][1])))
            assert shown.shape == (32, 48, 3) and np.abs(shown.astype(int) - PICTURE).mean() < 40  # noise, as JPEG
            await hand.say(type="start")
            await hand.hear(type="state", state="running")
            await hand.say(type="samples", id=4, samples=[[5, 5, 1000.0], [20, 9, 1100.0]], grid=GRID)
            answered = await hand.hear(type="chunk", answers=[{"id": 4, "t_ms": 1000.0, "first": True}])
            assert answered["frame_ms"] >= 62.5 and answered["made_ms"] > 0
            await hand.hear(type="chunk", index=1)
            await hand.say(type="release", id=4)
            await hand.say(type="stop")
            ended = await hand.hear(type="ended")
            assert ended["reason"] == "stopped"
            async with aiohttp.ClientSession() as http:
                for name in ("video", "tracks", "document", "log"):
                    async with http.get(address + ended["files"][name]) as answer:
                        assert answer.status == 200 and await answer.read()
                async with http.get(f"{address}/motionstream/live/files/..%2f..%2fetc%2fpasswd") as answer:
                    assert answer.status == 404

    play(page, story)
    with av.open(str(page.folder / "live_00001.mp4")) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    log = Log.read(page.folder / "live_00001.log.json")
    assert len(frames) == json.loads(log.text)["num_frames"] and log.num_chunks >= 2
    assert log.image is not None
    np.testing.assert_array_equal(np.asarray(Image.open(log.image)), PICTURE)
    again = torch.cat(list(replayed(make_opened(), log, PICTURE)))
    assert len(again) == len(frames)
    assert np.abs(coarse(np.stack(frames) / 255) - coarse(again.numpy())).max() < 0.05  # noise, as H.264 has it


def coarse(frames: np.ndarray) -> np.ndarray:
    """Grey in blocks of 8 x 8 px of frames (t h w 3)."""
    return frames.mean(-1).reshape(len(frames), 4, 8, 6, 8).mean((2, 4))


GRID = {"columns": 2, "rows": 2, "dx": 4, "dy": 4}


def test_pause_back_reanchor_and_prompt(page: LivePage) -> None:
    async def story(address: str) -> None:
        async with client(address) as hand:
            await hand.say(type="start")
            for number in range(3):
                await hand.hear(type="chunk", index=number)
            await hand.say(type="pause")
            paused = await hand.hear(type="state", state="paused")
            count = paused["num_frames"]
            await hand.say(type="back", seconds=0.75)
            reset = await hand.hear(type="chunk", reset=True)
            assert reset["num_frames"] == count - 12 and len(reset["sizes"]) == 1
            await hand.say(type="prompt", text="a purple circle")
            refused = await hand.hear(type="error")
            assert (refused["field"], "purple" in refused["message"]) == ("prompt", True)
            await hand.say(type="prompt", text="a blue circle", blend_chunks=2)
            await hand.hear(type="state", prompt="a blue circle")
            await hand.say(type="reanchor")
            await hand.say(type="resume")
            await hand.hear(type="state", state="running")
            going_on = await hand.hear(type="chunk", start_frame=count - 12)
            assert not going_on["reset"]
            await hand.say(type="stop")
            await hand.hear(type="ended")

    play(page, story)
    events = json.loads((page.folder / "live_00001.log.json").read_text())["events"]
    assert "reanchor" in [event["kind"] for event in events]


def test_one_steers_others_watch_and_it_is_handed_over(page: LivePage) -> None:
    async def story(address: str) -> None:
        async with client(address) as one, client(address) as other:
            await one.hear(type="hello", steering=True)
            assert not (await other.hear(type="hello"))["steering"]
            await other.say(type="start")
            assert "take" in (await other.hear(type="error"))["message"]
            await other.say(type="take")
            await one.hear(type="state", asked=True)
            await one.say(type="yield")
            await other.hear(type="state", steering=True)
            await one.hear(type="state", steering=False)
            await other.say(type="start")
            await one.hear(type="chunk", index=1)  # who watches sees it too
        async with client(address) as late:  # whoever steered has gone
            assert (await late.hear(type="hello"))["steering"]

    play(page, story)


def test_nobody_there_holds_the_stream_and_coming_back_resumes_it(
    page: LivePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from motionstream_core.live import run

    monkeypatch.setattr(run, "AWAY_S", 0.2)

    async def story(address: str) -> None:
        async with aiohttp.ClientSession() as http:
            session = await current(http, address)
        async with client(address, session) as hand:
            await hand.say(type="start")
            await hand.hear(type="chunk", index=1)
        room = page.hub.room(session)
        assert room is not None
        for _ in range(int(PATIENCE_S * 10)):
            if room.run.state == "paused":
                break
            await asyncio.sleep(0.1)
        assert room.run.state == "paused"
        made = room.run.num_frames
        async with client(address, session) as hand:
            hello = await hand.hear(type="hello")
            assert hello["num_frames"] == made and hello["steering"]
            last = await hand.hear(type="chunk")
            assert last["reset"]  # the frame that was shown last, at once
            await hand.hear(type="chunk", reset=False)
            assert "running" in [text.get("state") for text in hand.texts]

    play(page, story)


def test_a_picture_begins_another_stream(page: LivePage) -> None:
    async def story(address: str) -> None:
        async with client(address) as hand, aiohttp.ClientSession() as http:
            await hand.say(type="start")
            await hand.hear(type="chunk", index=1)
            form = aiohttp.FormData()
            form.add_field("image", png(np.full((100, 300, 3), 200, np.uint8)), filename="grey.png")
            async with http.post(f"{address}/motionstream/live/picture", data=form) as answer:
                session = (await answer.json())["session"]
            assert (await hand.hear(type="ended"))["reason"] == "another picture"
            async with client(address, session) as next_hand:
                await next_hand.hear(type="hello", state="ready")
                await next_hand.hear(type="chunk", index=-1)
                shown = np.asarray(Image.open(io.BytesIO(next_hand.chunks[-1][1])))
                assert shown.shape == (32, 48, 3) and abs(float(shown.mean()) - 200) < 3
            form = aiohttp.FormData()
            form.add_field("image", b"no picture", filename="words.txt")
            async with http.post(f"{address}/motionstream/live/picture", data=form) as answer:
                assert answer.status == 400 and "words.txt" in await answer.text()

    play(page, story)
    assert (page.folder / "live_00001.mp4").is_file()


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


# --- who may


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
def test_strange_pages_are_turned_away(page: LivePage, headers: dict[str, str], status: int) -> None:
    async def story(address: str) -> None:
        async with aiohttp.ClientSession() as http:
            session = await current(http, address)
            for path in ("/", "/motionstream/live/current"):
                async with http.get(address + path, headers=headers) as answer:
                    assert answer.status == status, path
            try:
                async with http.ws_connect(f"{address}/motionstream/live/{session}", headers=headers):
                    opened = 200
            except aiohttp.WSServerHandshakeError as error:
                opened = error.status
            assert opened == status

    play(page, story)


def test_an_open_server_asks_for_its_token(make_opened: Callable[..., Opened], tmp_path: Path) -> None:
    page = LivePage(make_opened(), PROMPT, PICTURE, tmp_path, token="secret")

    async def story(address: str) -> None:
        async with aiohttp.ClientSession() as http:
            for query, status in (("", 403), ("?token=other", 403), ("?token=secret", 200)):
                async with http.get(f"{address}/motionstream/live/current{query}") as answer:
                    assert answer.status == status
            async with http.get(f"{address}/js/live/page.js") as answer:
                assert answer.status == 200

    play(page, story)


def test_after_a_stream_that_failed_comes_another(page: LivePage, monkeypatch: pytest.MonkeyPatch) -> None:
    from motionstream_core.live.recording import Recording

    push = Recording.push

    def full(self: Recording, chunk: int, *rest: Any) -> None:
        if chunk == 1:
            raise OSError("no space left on device")
        push(self, chunk, *rest)

    monkeypatch.setattr(Recording, "push", full)

    async def story(address: str) -> None:
        async with client(address) as hand:
            await hand.say(type="start")
            ended = await hand.hear(type="ended")
            assert "no space left" in ended["reason"] and ended["files"]["video"]
            failed = hand.session
        async with aiohttp.ClientSession() as http:
            while (session := await current(http, address)) == failed:
                await asyncio.sleep(0.05)
        async with client(address, session) as hand:
            await hand.hear(type="hello", state="ready")
            await hand.say(type="back", seconds=1)  # before anything was made
            await hand.say(type="start")
            await hand.hear(type="chunk", index=0)

    play(page, story)


def test_an_unknown_stream_is_not_there(page: LivePage) -> None:
    async def story(address: str) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with client(address, "guessed"):
                pass
        assert caught.value.status == 404

    play(page, story)


def test_faulty_messages_are_answered_and_too_many_end_the_connection(page: LivePage) -> None:
    async def story(address: str) -> None:
        async with client(address) as watcher:
            await watcher.hear(type="hello")
            async with client(address) as fool:
                await fool.hear(type="hello")
                for _ in range(server.MAX_FAULTS + 1):
                    await fool.socket.send_str("{")
                with pytest.raises(ConnectionError, match=r"1008|1006"):
                    while True:
                        await fool.hear(type="never")
                assert fool.texts[-1]["type"] == "error"
            await watcher.say(type="start")
            await watcher.hear(type="chunk", index=1)  # nobody else noticed

    play(page, story)


def test_more_than_a_hand_can_say_is_dropped(page: LivePage) -> None:
    async def story(address: str) -> None:
        async with client(address) as hand:
            for number in range(int(server.BURST) + 50):
                await hand.say(type="ping", t_ms=number)
            error = await hand.hear(type="error")
            assert "messages a second" in error["message"]

    play(page, story)


def test_a_long_message_is_refused(page: LivePage) -> None:
    async def story(address: str) -> None:
        async with client(address) as hand:
            await hand.hear(type="hello")
            await hand.socket.send_str(" " * (70 * 1024))
            with pytest.raises(ConnectionError, match=r"1009|1006"):
                await hand.hear(type="never")

    play(page, story)
