"""Back and re-anchor, against runs that were never elsewhere; blended prompts; samples placed by their own times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from motionstream_core.live.open import Opened
from motionstream_core.streaming.conditions import StreamConditions
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.session import SessionHooks, StreamSession
from motionstream_core.streaming.stream import StreamedChunk, StreamSettings, stream_chunks
from motionstream_core.tracks import Tracks
from motionstream_core.tracks.drawn.document import Grid

from .conftest import PICTURE, PROMPT

MakeOpened = Callable[..., Opened]
Action = Callable[[StreamSession], None]
GRID = Grid(2, 2, 4.0, 4.0)


@pytest.fixture(params=["first_latent", "carried"])
def model_changes(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Models whose image stands still, and whose image goes along with its tracks."""
    return {"image_rule": request.param, "image_skip": 0.5 if request.param == "carried" else 0.0}


def play(session: StreamSession, count: int, actions: dict[int, list[Action]] | None = None) -> list[StreamedChunk]:
    """`count` chunks as they come; actions[k] run before the k-th (what is undone counts too)."""
    chunks, stream = [], session.run()
    for number in range(count):
        for action in (actions or {}).get(number, []):
            action(session)
        chunks.append(next(stream))
    stream.close()  # type: ignore[attr-defined]
    return chunks


def start(opened: Opened, hooks: SessionHooks | None = None) -> StreamSession:
    return opened.session(PICTURE, PROMPT, hooks or SessionHooks())


def drag(x: float, hand: int = 7) -> Action:
    return lambda session: session.add_samples(hand, [(x, 9.0), (x + 8, 12.0)], GRID)


def same(one: StreamedChunk, other: StreamedChunk) -> bool:
    return torch.equal(one.latents, other.latents) and torch.equal(one.frames, other.frames)


# --- back


def test_going_back_makes_the_same_chunks_again(make_opened: MakeOpened) -> None:
    """Picture, cache, decoder and noise return: nobody could tell that the stream had been further."""
    straight = play(start(make_opened()), 6, {1: [drag(5)], 5: [lambda s: s.release(7)]})
    session = start(make_opened())
    # chunks 1 to 4 are made, 3 and 4 are undone (24 frames); then as in the straight run
    gone = play(
        session,
        8,
        {1: [drag(5)], 3: [drag(30, hand=9)], 5: [lambda s: s.back(24)], 7: [lambda s: s.release(7)]},
    )
    assert [chunk.chunk.index for chunk in gone] == [0, 1, 2, 3, 4, 3, 4, 5]
    assert all(same(a, b) for a, b in zip(straight[:3], gone[:3], strict=True))
    assert not same(gone[3], straight[3])  # hand 9 was there


def test_what_is_in_hand_stays_in_hand_and_what_was_let_go_stays_gone(make_opened: MakeOpened) -> None:
    session = start(make_opened())
    went: list[int] = []
    session._hooks = SessionHooks(went_back=lambda count, frame: went.append(count))
    play(session, 6, {1: [drag(5)], 3: [lambda s: s.release(7), drag(20, hand=9)], 4: [lambda s: s.back(12)]})
    assert went == [25]  # after chunks 0, 1, 2
    told = [(event.chunk, event.kind, event.payload["track_id"]) for event in session.events]
    assert told == [(1, "samples", 7), (3, "release", 7), (3, "samples", 9)]
    assert session.events[-1].payload == {
        "track_id": 9, "samples": [[28.0, 12.0]], "grid": {"columns": 2, "rows": 2, "dx": 4.0, "dy": 4.0},
    }  # fmt: skip


@pytest.mark.parametrize("chunk_frames", [None, 1])
def test_a_stream_that_went_back_and_forth_is_replayed_to_the_bit(make_opened: MakeOpened, chunk_frames: int) -> None:
    session = start(make_opened(chunk_frames=chunk_frames))
    actions: dict[int, list[Action]] = {
        1: [drag(5)],
        3: [lambda s: s.back(4), lambda s: s.set_prompt("a blue circle", 2)],
        5: [Action_reanchor, drag(20, hand=8)],
        7: [lambda s: s.release(8)],
        8: [lambda s: s.back(4)],
    }
    made = {chunk.chunk.index: chunk for chunk in play(session, 10, actions)}  # the last of each number
    replayed = start(make_opened(chunk_frames=chunk_frames))
    replayed.replay(session.log_json())
    again = play(replayed, len(made))
    for index, chunk in enumerate(again):
        assert chunk.chunk.index == index and same(chunk, made[index]), index


def Action_reanchor(session: StreamSession) -> None:
    session.reanchor()


def test_back_reaches_the_first_state_that_is_kept(make_opened: MakeOpened) -> None:
    session = start(make_opened(history_bytes=1))  # room for one state, always
    chunks = play(session, 5, {4: [lambda s: s.back(1000)]})
    assert [chunk.chunk.index for chunk in chunks] == [0, 1, 2, 3, 4]  # back to where it stood
    wide = start(make_opened())
    assert [chunk.chunk.index for chunk in play(wide, 5, {4: [lambda s: s.back(1000)]})] == [0, 1, 2, 3, 1]
    with pytest.raises(ValueError, match="history_bytes"):
        start(make_opened(history_bytes=0)).back(3)


def test_kept_states_do_not_grow_without_end(make_opened: MakeOpened) -> None:
    opened = make_opened()
    session = start(opened)
    session._history._max_frames = 30.0
    stream = session.run()
    for _ in range(12):
        next(stream)
    assert 30 <= session.back_frames <= 30 + 2 * 12 and len(session._history) <= 5


def test_a_kept_state_keeps_no_other_frames_in_memory(make_opened: MakeOpened) -> None:
    session = start(make_opened())
    stream = session.run()
    for _ in range(3):
        next(stream)
    frame = session._history.last.frame
    assert frame.shape == (32, 48, 3) and frame.untyped_storage().nbytes() == 32 * 48 * 3 * 4


# --- re-anchor


def test_a_new_anchor_is_a_new_stream_from_the_last_frame(make_opened: MakeOpened) -> None:
    """Against `stream_chunks` with that frame as its image and the next noise: the same latents, no frame twice."""
    opened = make_opened()
    session = start(opened)
    chunks = play(session, 5, {3: [lambda s: s.reanchor()]})
    assert [len(chunk.frames) for chunk in chunks] == [1, 12, 12, 12, 12]
    assert [chunk.chunk.index for chunk in chunks] == [0, 1, 2, 3, 4]
    loaded, vae = opened.loaded, opened.renderer.decoder
    image = chunks[2].frames[-1].permute(2, 0, 1)[None, :, None]
    encoded = opened.renderer.encode([PROMPT], [None])[0].context(loaded)

    class Nothing:
        def at_frames(self, start: int, stop: int) -> Tracks:
            return Tracks.empty(stop - start, 32, 48)

    from motionstream_core.streaming.session import SEED_STEP

    conditions = StreamConditions(loaded.model, loaded.spec, encoded, Nothing(), image=image, vae=vae)
    settings = StreamSettings(seed=5 + SEED_STEP)
    assert isinstance(vae, torch.nn.Module)
    reference = stream_chunks(
        loaded, conditions, TinyStreamingDecoder(vae), num_latent_frames=7, settings=settings, decoded=lambda _: None
    )
    _, third, fourth = reference
    assert torch.equal(third.latents, chunks[3].latents) and torch.equal(third.frames, chunks[3].frames)
    assert torch.equal(fourth.latents, chunks[4].latents)


def test_an_anchored_stream_keeps_the_hand_and_its_time(make_opened: MakeOpened) -> None:
    """A path that was sent off plays on, a hand goes on from where it stood, its waiting samples are not lost."""
    opened, asked = make_opened(), []
    session = start(opened)
    before = session._tracks.at_frames

    def watched(first: int, last: int) -> Tracks:
        asked.append(before(first, last))
        return asked[-1]

    session._tracks.at_frames = watched  # type: ignore[method-assign]
    play(session, 4, {1: [drag(5)], 3: [lambda s: s.add_samples(7, [(40.0, 20.0)]), lambda s: s.reanchor()]})
    assert [told.num_frames for told in asked] == [1, 12, 12, 1, 12]
    middle = [told.points[:, :4].mean(1) if told.num_tracks else None for told in asked]
    assert middle[3] is not None and middle[4] is not None
    np.testing.assert_allclose(middle[3], [[13, 12]], atol=1e-5)  # the anchor itself: where the hand stood
    np.testing.assert_allclose(middle[4][-1], [40, 20], atol=1e-5)


def test_a_model_without_an_image_cannot_be_anchored(make_opened: MakeOpened) -> None:
    session = start(make_opened())
    session._takes_image = False
    with pytest.raises(ValueError, match="from text alone"):
        session.reanchor()


def test_an_anchor_before_the_first_frame_changes_nothing(make_opened: MakeOpened) -> None:
    straight = play(start(make_opened()), 3)
    anchored = play(start(make_opened()), 3, {0: [lambda s: s.reanchor()]})
    assert all(same(a, b) for a, b in zip(straight, anchored, strict=True))


# --- prompts that come by and by


def test_a_blended_prompt_arrives_after_its_chunks(make_opened: MakeOpened) -> None:
    session = start(make_opened())
    keys: list[Any] = []
    run = session._conditions._run

    def watched(first: int, last: int) -> Any:
        keys.append(session._conditions.context.text[0][0].clone())
        return run(first, last)

    session._conditions._run = watched  # type: ignore[method-assign]
    play(session, 6, {2: [lambda s: s.set_prompt("a blue circle", 3)]})
    before, after = keys[1], keys[5]
    assert torch.equal(keys[0], before) and not torch.equal(before, after)
    for step, seen in enumerate(keys[2:5], 1):
        torch.testing.assert_close(seen, torch.lerp(before, after, step / 4))
    assert torch.equal(after, session._encode("a blue circle").text[0][0])


# --- samples in time


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def timed(opened: Opened, clock: Clock) -> tuple[StreamSession, list[Tracks]]:
    session = opened.session(PICTURE, PROMPT, SessionHooks())
    session._clock, session._taken_s = clock, clock.now
    told: list[Tracks] = []
    before = session._tracks.at_frames

    def watched(first: int, last: int) -> Tracks:
        told.append(before(first, last))
        return told[-1]

    session._tracks.at_frames = watched  # type: ignore[method-assign]
    return session, told


def test_samples_stand_where_their_times_say(make_opened: MakeOpened) -> None:
    clock = Clock()
    session, told = timed(make_opened(), clock)
    session._begin_anew = lambda: None  # type: ignore[method-assign]
    stream = session.run()
    next(stream)  # the image, taken at 50
    session.add_samples(3, [(0.0, 0.0, 50.1)])
    clock.now = 50.75
    next(stream)
    session.add_samples(3, [(9.0, 0.0, 51.0), (12.0, 0.0, 51.25)])
    clock.now = 51.5
    next(stream)  # between 50.75 and 51.5: a third and two thirds
    xs = told[2].points[:, 0, 0]
    np.testing.assert_allclose(xs, np.interp(np.arange(1, 13) / 12, [0, 1 / 3, 2 / 3], [0, 9, 12]), atol=0.02)
    payload = session.events[-1].payload
    assert [sample[2] for sample in payload["samples"]] == [0.3333, 0.6667]  # as the log has it
    stream.close()  # type: ignore[attr-defined]


def test_after_a_pause_time_begins_with_the_hand(make_opened: MakeOpened) -> None:
    """A drag at the end of a long pause is not squeezed into the last frame."""
    clock = Clock()
    session, told = timed(make_opened(), clock)
    stream = session.run()
    next(stream)
    session.add_samples(3, [(10.0, 0.0, clock.now)])
    next(stream)
    clock.now += 100
    session.add_samples(3, [(10.0, 0.0, clock.now - 0.6), (40.0, 0.0, clock.now - 0.3)])
    next(stream)
    moved = (told[2].points[:, 0, 0] > 11).nonzero()[0, 0]
    assert 2 <= moved <= 4  # at a fifth of the chunk, which begins 0.75 s before it was taken
    stream.close()  # type: ignore[attr-defined]


def test_back_before_the_first_frame_undoes_nothing(make_opened: MakeOpened) -> None:
    straight = play(start(make_opened()), 2)
    undone = play(start(make_opened()), 2, {0: [lambda s: s.back(16)]})
    assert all(same(a, b) for a, b in zip(straight, undone, strict=True))


def test_the_states_are_let_go_when_the_stream_ends(make_opened: MakeOpened) -> None:
    session = start(make_opened())
    play(session, 4)
    assert not session._history
