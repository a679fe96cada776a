"""A live session: commands take effect at chunk boundaries, and a log brings the video back to the bit."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from motionstream_core.checkpoints import LoadedModel
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.models.wan import CrossContext
from motionstream_core.streaming.conditions import StreamConditions, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.events import Event
from motionstream_core.streaming.live_tracks import LiveTracks
from motionstream_core.streaming.session import StreamSession
from motionstream_core.streaming.stream import StreamedChunk, StreamSettings
from motionstream_core.tracks import TrackFormatError, Tracks
from motionstream_core.tracks.drawn.document import Grid

HEIGHT, WIDTH = 32, 48
COUNT, CHUNKS = 13, 5  # latent frames: 1 + 4 * 3
PATIENCE_S = 30.0
MakeSession = Callable[..., StreamSession]
Action = Callable[[StreamSession], None]


@pytest.fixture
def make_session(make_model: Callable[..., LoadedModel], vae: TinyVae) -> MakeSession:
    loaded = make_model()
    image = torch.rand(1, 3, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3))

    def encode(prompt: str) -> CrossContext:
        return encode_prompt(loaded.model, loaded.spec, prompt)

    def conditions(tracks: LiveTracks) -> StreamConditions:
        return StreamConditions(loaded.model, loaded.spec, encode("a red circle"), tracks, image=image, vae=vae)

    def make(known_tracks: Tracks | None = None) -> StreamSession:
        return StreamSession(
            loaded,
            TinyStreamingDecoder(vae),
            conditions,
            encode,
            frame_size=(HEIGHT, WIDTH),
            known_tracks=known_tracks,
            settings=StreamSettings(seed=3),
        )

    return make


def play(session: StreamSession, actions: dict[int, list[Action]] | None = None) -> list[StreamedChunk]:
    """The whole stream; actions[k] run before chunk k is asked for."""
    chunks, stream = [], session.run(COUNT)
    for index in range(CHUNKS):
        for action in (actions or {}).get(index, []):
            action(session)
        chunk = next(stream, None)
        if chunk is None:
            return chunks
        chunks.append(chunk)
    assert next(stream, None) is None
    return chunks


def assert_differs_from(first: int, straight: list[StreamedChunk], steered: list[StreamedChunk]) -> None:
    """Bit for bit the same before chunk `first`, and another video from there on."""
    assert len(straight) == len(steered) == CHUNKS
    for index, (one, other) in enumerate(zip(straight, steered, strict=True)):
        if index < first:
            assert torch.equal(one.latents, other.latents) and torch.equal(one.frames, other.frames), index
        else:
            assert (one.latents - other.latents).abs().max() > 1e-3, index


def drag(session: StreamSession) -> None:
    session.add_samples(7, [(10, 10), (20.5, 14.25), (30, 12)])


# --- steering


@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_samples_take_effect_in_the_next_chunk_and_not_before(make_session: MakeSession, chunk: int) -> None:
    straight = play(make_session())
    assert_differs_from(chunk, straight, play(make_session(), {chunk: [drag]}))


def test_a_live_prompt_is_encoded_once(make_session: MakeSession) -> None:
    encoded: list[str] = []
    session = make_session()
    encode = session._encode

    def counted(prompt: str) -> CrossContext:
        encoded.append(prompt)
        return encode(prompt)

    session._encode = counted
    play(session, {3: [lambda s: s.set_prompt("a blue circle , snow")]})
    assert encoded == ["a blue circle , snow"]


def test_a_prompt_takes_effect_in_the_next_chunk(make_session: MakeSession) -> None:
    straight = play(make_session())
    assert_differs_from(3, straight, play(make_session(), {3: [lambda s: s.set_prompt("a blue circle , snow")]}))
    same = play(make_session(), {3: [lambda s: s.set_prompt("a red circle")]})
    assert_differs_from(CHUNKS, straight, same)


def test_letting_go_takes_effect_in_the_next_chunk(make_session: MakeSession) -> None:
    held = play(make_session(), {1: [drag]})
    assert_differs_from(3, held, play(make_session(), {1: [drag], 3: [lambda s: s.release(7)]}))


def test_a_held_track_goes_on_telling_its_place(make_session: MakeSession) -> None:
    """Without new samples the track stands; that is not the same as being let go."""
    held = play(make_session(), {1: [drag]})
    repeated = play(make_session(), {1: [drag], 2: [lambda s: s.add_samples(7, [(30, 12)])]})
    assert_differs_from(CHUNKS, held, repeated)


def test_the_id_of_a_track_matters(make_session: MakeSession) -> None:
    other = play(make_session(), {1: [lambda s: s.add_samples(8, [(10, 10), (20.5, 14.25), (30, 12)])]})
    assert_differs_from(1, play(make_session(), {1: [drag]}), other)


def test_known_tracks_and_a_live_hand_go_together(make_session: MakeSession) -> None:
    points = torch.full((49, 2, 2), 12.0)
    points[:, 1] = torch.linspace(4, 40, 49)[:, None]
    known = Tracks(points, torch.ones(49, 2, dtype=torch.bool), HEIGHT, WIDTH)
    alone = play(make_session(known))
    assert_differs_from(1, play(make_session()), play(make_session(known), {}))
    assert_differs_from(2, alone, play(make_session(known), {2: [drag]}))


# --- pausing and stopping


class Worker:
    """Plays a session in its own thread; `chunks` fills as they come and ends with None."""

    def __init__(self, session: StreamSession, after: dict[int, Action] | None = None) -> None:
        self.chunks: queue.Queue[StreamedChunk | None] = queue.Queue()
        self._session, self._after = session, after or {}
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for chunk in self._session.run(COUNT):
            if action := self._after.get(chunk.chunk.index):
                action(self._session)
            self.chunks.put(chunk)
        self.chunks.put(None)

    def next(self) -> StreamedChunk | None:
        return self.chunks.get(timeout=PATIENCE_S)

    def rest(self) -> list[StreamedChunk]:
        return list(iter(self.next, None))

    def assert_waiting(self) -> None:
        with pytest.raises(queue.Empty):
            self.chunks.get(timeout=0.5)  # a chunk takes some ten milliseconds
        assert self.thread.is_alive()


def test_pause_holds_the_stream_and_resume_goes_on_as_if_nothing_had_been(make_session: MakeSession) -> None:
    straight = play(make_session())
    worker = Worker(session := make_session(), after={1: StreamSession.pause})
    taken = [worker.next(), worker.next()]
    worker.assert_waiting()
    session.resume()
    taken += worker.rest()
    assert_differs_from(CHUNKS, straight, [chunk for chunk in taken if chunk is not None])
    assert [(event.chunk, event.kind) for event in session.events] == [(2, "pause"), (2, "resume")]


def test_commands_during_a_pause_take_effect_with_the_chunk_that_follows(make_session: MakeSession) -> None:
    worker = Worker(session := make_session(), after={1: StreamSession.pause})
    taken = [worker.next(), worker.next()]
    worker.assert_waiting()
    drag(session)
    worker.assert_waiting()
    session.resume()
    taken += worker.rest()
    steered = play(make_session(), {2: [drag]})
    assert_differs_from(CHUNKS, steered, [chunk for chunk in taken if chunk is not None])


def test_a_pause_before_the_start_holds_the_first_chunk(make_session: MakeSession) -> None:
    session = make_session()
    session.pause()
    worker = Worker(session)
    worker.assert_waiting()
    session.resume()
    assert len(worker.rest()) == CHUNKS


def test_a_pause_in_the_last_chunk_has_nothing_to_hold(make_session: MakeSession) -> None:
    assert len(Worker(make_session(), after={CHUNKS - 1: StreamSession.pause}).rest()) == CHUNKS


def test_stop_ends_at_the_boundary(make_session: MakeSession) -> None:
    straight = play(make_session())
    session = make_session()
    stopped = play(session, {3: [StreamSession.stop]})
    assert len(stopped) == 3
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(straight, stopped, strict=False))
    assert session.events == [Event(3, "stop")]


def test_stop_ends_a_pause(make_session: MakeSession) -> None:
    worker = Worker(session := make_session(), after={1: StreamSession.pause})
    assert worker.next() and worker.next()
    worker.assert_waiting()
    session.stop()
    assert worker.next() is None


def test_a_consumer_that_leaves_ends_the_stream_cleanly(make_session: MakeSession) -> None:
    straight, session = play(make_session()), make_session()
    stream = session.run(COUNT)
    next(stream), next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert_differs_from(CHUNKS, straight, play(session))


def test_a_length_that_does_not_fit_is_refused(make_session: MakeSession) -> None:
    with pytest.raises(ValueError, match="nearest that fit: 4 or 7"):
        next(make_session().run(5))


# --- what is refused


def test_a_bad_prompt_raises_where_it_is_given_and_changes_nothing(make_session: MakeSession) -> None:
    straight, session = play(make_session()), make_session()

    def bad(session: StreamSession) -> None:
        with pytest.raises(ValueError, match="unknown words green"):
            session.set_prompt("a green circle")

    assert_differs_from(CHUNKS, straight, play(session, {2: [bad]}))
    assert session.events == []


@pytest.mark.parametrize(
    ("track_id", "samples", "message"),
    [
        (-1, [(1, 2)], "track_id is -1"),
        (100_000, [(1, 2)], "track_id is 100000"),
        (1, [], "one or more finite pairs"),
        (1, [(float("nan"), 2)], "one or more finite pairs"),
        (1, [(1, float("inf"))], "one or more finite pairs"),
    ],
)
def test_bad_samples_raise_where_they_are_given(
    make_session: MakeSession, track_id: int, samples: list[tuple[float, float]], message: str
) -> None:
    session = make_session()
    with pytest.raises(ValueError, match=message):
        session.add_samples(track_id, samples)
    play(session)
    assert session.events == []


# --- the log

STORY: dict[int, list[Action]] = {
    0: [lambda s: s.add_samples(3, [(5, 5), (9.1, 7.7)])],
    1: [drag, lambda s: s.add_samples(7, [(31, 12.125)])],
    2: [lambda s: s.set_prompt("a blue circle"), StreamSession.pause, StreamSession.resume],
    3: [lambda s: s.release(7), lambda s: s.add_samples(3, [(1 / 3, 20)])],
}


def test_events_are_logged_in_order_with_the_chunk_that_they_steer(make_session: MakeSession) -> None:
    session = make_session()
    play(session, STORY)
    assert [(event.chunk, event.kind) for event in session.events] == [
        (0, "samples"),
        (1, "samples"),
        (1, "samples"),
        (2, "prompt"),
        (2, "pause"),
        (2, "resume"),
        (3, "release"),
        (3, "samples"),
    ]
    assert session.events[1].payload == {"track_id": 7, "samples": [[10.0, 10.0], [20.5, 14.25], [30.0, 12.0]]}
    assert session.events[3].payload == "a blue circle"
    assert session.events[6].payload == {"track_id": 7}


@pytest.mark.parametrize("stopped", [False, True], ids=["to the end", "stopped"])
def test_a_replay_is_the_same_video_to_the_bit(make_session: MakeSession, stopped: bool) -> None:
    session = make_session()
    played = play(session, {**STORY, **({4: [StreamSession.stop]} if stopped else {})})
    log = json.dumps(json.loads(session.log_json()))  # as it comes back from a file
    replayed = make_session()
    replayed.replay(log)
    again = play(replayed)
    assert len(played) == len(again) == (CHUNKS - 1 if stopped else CHUNKS)
    for one, other in zip(played, again, strict=True):
        assert torch.equal(one.latents, other.latents) and torch.equal(one.frames, other.frames)
    assert replayed.log_json() == session.log_json()
    assert not torch.equal(played[1].latents, play(make_session())[1].latents)


def test_a_replay_can_be_stopped_by_hand(make_session: MakeSession) -> None:
    session = make_session()
    play(session, STORY)
    replayed = make_session()
    replayed.replay(session.log_json())
    assert len(play(replayed, {2: [StreamSession.stop]})) < CHUNKS


@pytest.mark.parametrize(
    "log",
    [
        "not json",
        "[]",
        "{}",
        '{"version": 9, "events": []}',
        '{"version": 1}',
        '{"version": 1, "events": [{"chunk": 0, "kind": "samples"}]}',
        '{"version": 1, "events": [{"chunk": "x", "kind": "stop", "payload": null}]}',
        '{"version": 1, "events": [{"chunk": 0, "kind": "jump", "payload": null}]}',
    ],
)
def test_another_log_is_refused(make_session: MakeSession, log: str) -> None:
    with pytest.raises(ValueError, match="the session log"):
        make_session().replay(log)


def test_a_log_of_a_later_release_is_refused_by_its_version(make_session: MakeSession) -> None:
    with pytest.raises(ValueError, match="it is of version 4, and this release reads 1 to 3"):
        make_session().replay('{"version": 4, "events": []}')


def test_commands_from_many_threads_all_arrive(make_session: MakeSession) -> None:
    session = make_session()
    session.pause()
    worker = Worker(session)

    def command(track_id: int) -> None:
        for step in range(25):
            session.add_samples(track_id, [(track_id, step)])

    threads = [threading.Thread(target=command, args=(track_id,)) for track_id in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    session.resume()
    worker.rest()
    told = [event.payload for event in session.events if event.kind == "samples"]
    for track_id in range(6):
        steps = [payload["samples"][0][1] for payload in told if payload["track_id"] == track_id]
        assert steps == list(range(25))  # each once, in order


# --- the hand


def live() -> LiveTracks:
    return LiveTracks(HEIGHT, WIDTH)


def line(tracks: Tracks, column: int = 0) -> Tensor:
    assert tracks.visibility.all()
    return tracks.points[:, column]


def test_no_hand_no_tracks() -> None:
    tracks = live().at_frames(0, 12)
    assert (tracks.num_frames, tracks.num_tracks, tracks.height, tracks.width) == (12, 0, HEIGHT, WIDTH)


def test_samples_are_spread_over_the_chunk() -> None:
    hand = live()
    way = [(0.0, 0.0), (6.0, 3.0), (8.0, 20.0), (1.0, 21.0)]
    hand.add(5, way[:1])
    hand.add(5, way[1:])
    tracks = hand.at_frames(1, 13)
    assert tracks.ids.tolist() == [5]
    at = np.linspace(0, 3, 12)  # a new track: first sample in the first frame, last in the last
    expected = np.stack([np.interp(at, range(4), [point[axis] for point in way]) for axis in range(2)], -1)
    np.testing.assert_allclose(line(tracks), expected, atol=1e-5)


def test_a_track_goes_on_from_where_it_stood() -> None:
    hand = live()
    hand.add(5, [(2.0, 4.0)])
    np.testing.assert_allclose(line(hand.at_frames(1, 13)), np.broadcast_to([2, 4], (12, 2)))
    np.testing.assert_allclose(line(hand.at_frames(13, 25)), np.broadcast_to([2, 4], (12, 2)))  # held
    hand.add(5, [(14.0, 4.0)])
    tracks = line(hand.at_frames(25, 37))
    np.testing.assert_allclose(tracks[:, 0], 2 + np.arange(1, 13), atol=1e-5)  # steps of equal length, no stop
    hand.add(5, [(14.0, 10.0), (14.0, 28.0)])
    later = line(hand.at_frames(37, 49))
    np.testing.assert_allclose(later[:, 1], np.interp(np.arange(1, 13) / 6, range(3), [4, 10, 28]), atol=1e-5)


def test_a_chunk_of_one_frame_shows_the_start_of_a_stroke_and_the_rest_follows() -> None:
    hand = live()
    hand.add(5, [(2.0, 2.0), (14.0, 2.0), (14.0, 26.0)])
    np.testing.assert_allclose(line(hand.at_frames(0, 1)), [[2, 2]])
    expected = np.interp(np.arange(1, 13) / 6, range(3), [2, 14, 14])
    tracks = line(hand.at_frames(1, 13))
    np.testing.assert_allclose(tracks[:, 0], expected, atol=1e-5)
    assert tracks[-1].tolist() == [14, 26]
    np.testing.assert_allclose(line(hand.at_frames(13, 25)), np.broadcast_to([14, 26], (12, 2)))  # told once


def test_a_released_track_is_gone_and_comes_back_under_its_id() -> None:
    hand = live()
    hand.add(5, [(2.0, 2.0)])
    hand.add(9, [(3.0, 3.0)])
    assert hand.at_frames(1, 13).ids.tolist() == [5, 9]
    hand.add(5, [(14.0, 2.0)])
    hand.release(5)
    last = hand.at_frames(13, 25)
    assert last.ids.tolist() == [5, 9]  # what it did before it let go is shown
    np.testing.assert_allclose(line(last)[:, 0], 2 + np.arange(1, 13), atol=1e-5)
    assert hand.at_frames(25, 37).ids.tolist() == [9]
    hand.add(5, [(40.0, 2.0)])
    assert hand.at_frames(37, 49).ids.tolist() == [5, 9]
    hand.release(5)
    assert hand.at_frames(49, 61).ids.tolist() == [9]  # at rest there is nothing left to show
    hand.add(5, [(20.0, 20.0), (31.0, 20.0)])
    back = hand.at_frames(25, 37)
    assert back.ids.tolist() == [5, 9]
    np.testing.assert_allclose(line(back)[:, 0], np.linspace(20, 31, 12), atol=1e-5)  # not from where it was let go
    hand.release(77)  # nobody's


def test_known_tracks_stand_beside_live_ones_and_end_by_themselves() -> None:
    known = Tracks(torch.full((14, 1, 2), 64.0), torch.ones(14, 1, dtype=torch.bool), 2 * HEIGHT, 2 * WIDTH)
    hand = LiveTracks(HEIGHT, WIDTH, known)
    hand.add(5, [(2.0, 2.0)])
    tracks = hand.at_frames(1, 13)
    assert tracks.ids.tolist() == [5, *known.ids.tolist()]
    assert tracks.points[:, 1].unique().tolist() == [32]  # in this stream's pixels
    assert hand.at_frames(13, 25).visibility[:, 1].tolist() == [True] + 11 * [False]


# --- holding the rest


def places(tracks: Tracks, first: int, last: int) -> set[tuple[float, float]]:
    """Visible points of a frame whose ids belong to the range."""
    return {
        (round(x, 1), round(y, 1))
        for (x, y), seen, track_id in zip(
            tracks.points[-1].tolist(), tracks.visibility[-1].tolist(), tracks.ids.tolist(), strict=True
        )
        if seen and first <= track_id % 1000 < last
    }


def test_what_no_hand_moves_is_held_and_what_is_let_go_stays() -> None:
    tracks = live()
    tracks.hold(8.0)
    still = places(tracks.at_frames(0, 1), 950, 1000)
    assert still == {(4 + 8 * x, 4 + 8 * y) for x in range(6) for y in range(4)}
    grid = Grid(2, 2, 8.0, 8.0)
    tracks.add(3, [(8.0, 8.0)], grid)  # takes what lies under its points
    taken = {(4.0, 4.0), (12.0, 4.0), (4.0, 12.0), (12.0, 12.0)}
    told = tracks.at_frames(1, 13)
    assert places(told, 950, 1000) == still - taken and places(told, 0, 900) == taken
    tracks.add(3, [(30.0, 8.0)])
    passing = tracks.at_frames(13, 25)  # hidden where the hand is over them, in that frame alone
    under = {(28.0, 4.0), (36.0, 4.0), (28.0, 12.0), (36.0, 12.0)}
    assert places(passing, 950, 1000) == still - taken - under
    halfway = tracks._hands[3]
    assert halfway.last == (30.0, 8.0)
    assert not passing.visibility[:, passing.ids.tolist().index(950 + 2000)].all()  # (20, 4), passed over
    tracks.release(3)
    kept = tracks.at_frames(25, 37)
    assert places(kept, 0, 900) == {(26.0, 4.0), (34.0, 4.0), (26.0, 12.0), (34.0, 12.0)}
    assert places(kept, 950, 1000) == still - taken - under
    tracks.add(4, [(34.0, 12.0)], Grid(2, 2, 2.0, 2.0))  # a part of it, taken again
    assert (34.0, 12.0) not in places(tracks.at_frames(37, 49), 3, 4)
    tracks.hold(0.0)
    assert tracks.at_frames(49, 61).num_tracks == 4


def test_clearing_holds_the_frame_as_it_is_then() -> None:
    tracks = live()
    tracks.hold(16.0)
    tracks.add(3, [(8.0, 8.0)])
    tracks.at_frames(0, 1)
    tracks.clear()
    assert len(places(tracks.at_frames(1, 13), 950, 1000)) == 6


def test_what_was_let_go_keeps_its_place_when_its_hand_is_used_again() -> None:
    """A client may have one id for all its drags; no two points then have one id."""
    tracks = live()
    tracks.hold(16.0)
    for x in (8.0, 24.0, 40.0):
        tracks.add(0, [(x, 24.0)], Grid(2, 1, 4.0, 4.0))
        tracks.at_frames(1, 13)
        tracks.release(0)
    tracks.add(0, [(8.0, 8.0)])
    told = tracks.at_frames(13, 25)
    assert len(set(told.ids.tolist())) == told.num_tracks
    kept = {(x + dx, 24.0) for x in (8.0, 24.0, 40.0) for dx in (-2.0, 2.0)}
    assert kept <= places(told, 0, 1000)


def test_what_is_let_go_outside_the_frame_is_not_kept() -> None:
    tracks = live()
    tracks.hold(16.0)
    before = tracks.at_frames(0, 1).num_tracks
    tracks.add(0, [(WIDTH + 50.0, 8.0)], Grid(3, 3, 4.0, 4.0))
    tracks.at_frames(1, 13)
    tracks.release(0)
    assert tracks.at_frames(13, 25).num_tracks == before
    tracks.add(0, [(WIDTH - 1.0, 8.0)], Grid(2, 1, 4.0, 4.0))  # half of it is in the frame
    tracks.at_frames(25, 37)
    tracks.release(0)
    assert places(tracks.at_frames(37, 49), 0, 900) == {(WIDTH - 3.0, 8.0)}


def test_more_than_can_be_kept_still_lets_go_of_the_oldest() -> None:
    """One hand with as many points as a grid may have, let go in one place after the other of a large frame."""
    tracks = LiveTracks(2000, 2000)
    tracks.hold(2.0)  # the first 5000 places, row by row
    spots = [(20.0 + 30 * k, 1000.0) for k in range(5)]
    for spot in spots:
        tracks.add(0, [spot], Grid(10, 10, 2.0, 2.0))
        tracks.at_frames(1, 2)
        tracks.release(0)
    tracks.add(0, [(1900.0, 1900.0)])
    told = tracks.at_frames(2, 3)
    assert told.num_tracks == 5001 and len(set(told.ids.tolist())) == 5001
    there = places(told, 0, 1000)
    assert all((x + 1.0, y + 1.0) in there for x, y in spots)
    assert [(2.0 * k + 1, 1.0) in there for k in (0, 499, 500)] == [False, False, True]


def test_a_copy_goes_its_own_way() -> None:
    tracks = live()
    tracks.hold(16.0)
    tracks.add(3, [(8.0, 8.0)])
    copy = tracks.copy()
    tracks.release(3)
    tracks.hold(0.0)
    tracks.at_frames(0, 1)
    assert copy.at_frames(0, 1).ids.tolist()[0] == 3 and copy._still


def given_tracks() -> Tracks:
    points = torch.rand(20, 5, 2, generator=torch.Generator().manual_seed(9)) * torch.tensor([WIDTH, HEIGHT])
    ids = torch.tensor([3, 990, 1990, 7, 50_007])
    return Tracks(points, torch.rand(20, 5, generator=torch.Generator().manual_seed(8)) > 0.2, HEIGHT, WIDTH, ids)


def test_given_tracks_are_in_the_log_and_a_replay_needs_no_others(make_session: MakeSession) -> None:
    session = make_session(given_tracks())
    live = play(session, {2: [drag]})
    again = make_session()
    again.replay(session.log_json())
    replayed = play(again)
    for one, other in zip(live, replayed, strict=True):
        assert torch.equal(one.latents, other.latents)
    assert again.log_json() == session.log_json()
    given_too = make_session(given_tracks())
    given_too.replay(session.log_json())
    assert torch.equal(play(given_too)[-1].latents, live[-1].latents)
    assert [event.kind for event in given_too.events].count("known") == 1
    assert (play(make_session(), {2: [drag]})[-1].latents - live[-1].latents).abs().max() > 1e-3


def test_given_tracks_that_are_none_are_refused(make_session: MakeSession) -> None:
    session = make_session()
    session.replay(json.dumps({"version": 3, "events": [{"chunk": 0, "kind": "known", "payload": "bm90aGluZw=="}]}))
    with pytest.raises(TrackFormatError, match="the log's given tracks cannot be read"):
        play(session)
