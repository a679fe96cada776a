"""Recordings: whole when they end, made whole after a crash, cut by undoing; and what the model was told."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from motionstream_core.live.open import Log
from motionstream_core.live.recording import About, Recording, free_name, repair
from motionstream_core.live.told import ToldTracks, as_document
from motionstream_core.streaming.events import Event
from motionstream_core.streaming.live_tracks import LiveTracks, known_text
from motionstream_core.tracks import Tracks
from motionstream_core.tracks.drawn.document import Canvas, Grid
from motionstream_core.tracks.drawn.parse import parse_document
from motionstream_core.tracks.npz import load_npz

ABOUT = About("m", "a red circle", 64, 48, 16.0, 3, 8, 1, 3)
IMAGE = np.full((48, 64, 3), 90, np.uint8)


def frames(chunk: int, count: int = 8) -> np.ndarray:
    """Pictures whose brightness tells chunk and frame."""
    made = np.zeros((count, 48, 64, 3), np.uint8)
    made[:] = (10 + 20 * chunk + 2 * np.arange(count))[:, None, None, None]
    return made


def levels(path: Path) -> list[float]:
    """Brightness of every frame that a player shows."""
    with av.open(str(path)) as file:
        assert file.streams.video[0].average_rate == 16
        return [float(frame.to_ndarray(format="rgb24").mean()) for frame in file.decode(video=0)]


def expected(*chunks: int) -> list[float]:
    return [float(each.mean()) for chunk in chunks for each in frames(chunk)]


def drag(chunk: int, *samples: list[float]) -> Event:
    return Event(chunk, "samples", {"track_id": 1, "samples": [list(each) for each in samples]})


def test_a_recording_leaves_video_tracks_document_log_and_image(tmp_path: Path) -> None:
    recording = Recording(tmp_path, "live_00001", ABOUT, IMAGE)
    recording.push(0, frames(0, 1), [])
    recording.push(1, frames(1), [drag(1, [10, 10, 0.0], [30, 20, 1.0])])
    recording.push(2, frames(2), [Event(2, "release", {"track_id": 1})])
    files = recording.finish([Event(3, "stop")])
    assert files.video is not None
    np.testing.assert_allclose(levels(files.video), [10.0, *expected(1, 2)], atol=2.0)
    tracks = load_npz(files.tracks)
    assert (tracks.num_frames, tracks.num_tracks) == (17, 1)
    assert tracks.visibility[:, 0].tolist() == [False] + 8 * [True] + 8 * [False]
    np.testing.assert_allclose(tracks.points[1:9, 0, 0], np.linspace(10, 30, 8), atol=1e-4)
    log = Log.read(files.log)
    assert (log.num_chunks, log.about) == (3, ABOUT)
    assert log.image is not None and log.image.name == "live_00001.png"
    assert [each["kind"] for each in json.loads(log.text)["events"]] == ["samples", "release", "stop"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "live_00001.log.json", "live_00001.mp4", "live_00001.png", "live_00001.tracks.json", "live_00001.tracks.npz",
    ]  # fmt: skip
    assert free_name(tmp_path) == "live_00002"


def test_what_is_undone_is_in_no_file(tmp_path: Path) -> None:
    recording = Recording(tmp_path, "r", ABOUT, IMAGE)
    for chunk in (0, 1, 2):
        recording.push(chunk, frames(chunk), [drag(chunk, [chunk, 5, 1.0])])
    recording.back(1)
    recording.push(1, frames(5), [drag(1, [50, 5, 1.0])])
    files = recording.finish()
    assert files.video is not None
    np.testing.assert_allclose(levels(files.video), expected(0, 5), atol=2.0)
    assert [each["payload"]["samples"][0][0] for each in json.loads(files.log.read_text())["events"]] == [0, 50]


def test_a_recording_that_ended_before_its_first_frame_has_no_video(tmp_path: Path) -> None:
    files = Recording(tmp_path, "r", ABOUT, None).finish()
    assert files.video is None and files.log.is_file()


def _record_and_die(folder: str) -> None:
    recording = Recording(Path(folder), "r", ABOUT, IMAGE)
    for chunk in range(3):
        recording.push(chunk, frames(chunk), [drag(chunk, [chunk, 5, 1.0])])
    while (Path(folder) / "r.live" / "journal.jsonl").read_text().count("\n") != 3:
        pass
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process of its own")
def test_what_was_written_before_a_kill_is_made_whole(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_record_and_die, args=(str(tmp_path),))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    left = tmp_path / "r.live"
    with (left / "video.h264").open("ab") as file:
        file.write(b"\x00\x00\x01torn")  # half a picture
    with (left / "journal.jsonl").open("a") as file:
        file.write('{"chunk": 3, "fra')
    (files,) = repair(tmp_path)
    assert files.video is not None
    np.testing.assert_allclose(levels(files.video), expected(0, 1, 2), atol=2.0)
    assert Log.read(files.log).num_chunks == 3
    assert not left.exists() and repair(tmp_path) == []


def test_a_recording_that_runs_is_left_alone_by_a_repair(tmp_path: Path) -> None:
    recording = Recording(tmp_path, "r", ABOUT, IMAGE)
    recording.push(0, frames(0), [])
    assert repair(tmp_path) == []
    assert recording.finish().video is not None


def test_a_disk_that_fails_is_told_with_the_next_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording(tmp_path, "r", ABOUT, IMAGE)

    def full(_: np.ndarray) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr(recording._video, "push", full)
    recording.push(0, frames(0), [])
    with pytest.raises(OSError, match="no space left"):
        for _ in range(1000):
            recording.push(1, frames(1), [])
    with pytest.raises(OSError, match="no space left"):
        recording.finish()


# --- what the model was told

GRID = {"columns": 3, "rows": 2, "dx": 4.0, "dy": 5.0}
STORY = [
    Event(1, "samples", {"track_id": 2, "samples": [[10, 10, 0.2], [20, 14, 0.7]], "grid": GRID}),
    Event(1, "samples", {"track_id": 5, "samples": [[40, 40, 0.5]]}),
    Event(2, "samples", {"track_id": 2, "samples": [[30, 20, 0.5]]}),
    Event(2, "release", {"track_id": 2}),
    Event(3, "reanchor"),
    Event(3, "samples", {"track_id": 5, "samples": [[44, 40, 1.0]]}),
    Event(4, "clear"),
]  # fmt: skip
CHUNKS = [1, 8, 8, 8, 8]


def told_by_hand() -> list[set[tuple[float, float]]]:
    """The visible points of every frame, from a `LiveTracks` steered as a session steers it."""
    tracks, seen, asked = LiveTracks(48, 64), [], 0
    for chunk, count in enumerate(CHUNKS):
        for event in (each for each in STORY if each.chunk == chunk):
            payload = event.payload
            if event.kind == "samples":
                tracks.add(payload["track_id"], payload["samples"], Grid(**GRID) if "grid" in payload else None)
            elif event.kind == "release":
                tracks.release(payload["track_id"])
            elif event.kind == "clear":
                tracks.clear()
            else:
                tracks.offset = sum(CHUNKS[:chunk]) - 1
                tracks.at_frames(0, 1)
                asked = 1
        told = tracks.at_frames(asked, asked + count)
        asked += count
        for t in range(count):
            at = told.points[t][told.visibility[t]]
            seen.append({(round(x, 2), round(y, 2)) for x, y in at.tolist()})
    return seen


def test_events_give_back_what_the_model_was_told() -> None:
    told = ToldTracks.of(STORY, CHUNKS, 48, 64, 1)
    assert told.tracks.num_frames == sum(CHUNKS)
    assert told.tracks.num_tracks == 7  # the grid's six and one
    again = [
        {(round(x, 2), round(y, 2)) for x, y in points[seen].tolist()}
        for points, seen in zip(told.tracks.points, told.tracks.visibility, strict=True)
    ]
    assert again == told_by_hand()


def test_the_document_is_a_drag_for_each_hand_and_shows_the_same() -> None:
    told = ToldTracks.of(STORY, CHUNKS, 48, 64, 1)
    document = parse_document(as_document(told, 16.0), Canvas(1, 1, 1, 1.0))
    assert [track.kind for track in document.tracks] == ["drag", "drag"]
    assert [track.num_copies for track in document.tracks] == [6, 1]
    sampled = document.sample()
    for frame in range(sum(CHUNKS)):
        ours = told.tracks.points[frame][told.tracks.visibility[frame]]
        theirs = sampled.points[frame][sampled.visibility[frame]]
        assert len(ours) == len(theirs), frame
        if len(ours):
            assert torch.cdist(ours, theirs).min(1).values.max() < 0.05, frame


def test_given_tracks_are_among_what_the_model_was_told() -> None:
    """Beside a hand, whatever their ids: 990 and 1990 are not the points that hold the rest of a frame."""
    points = torch.rand(12, 3, 2, generator=torch.Generator().manual_seed(1)) * 40
    given = Tracks(points, torch.ones(12, 3, dtype=torch.bool), 48, 64, torch.tensor([990, 1990, 5]))
    events = [Event(0, "known", known_text(given)), drag(1, [10, 10, 0.0], [30, 20, 1.0])]
    told = ToldTracks.of(events, [1, 8, 8], 48, 64, 1)
    assert (told.tracks.num_frames, told.tracks.num_tracks) == (17, 4)
    assert told.tracks.visibility.sum(1).tolist() == [3] + 8 * [4] + 3 * [4] + 5 * [1]
    columns = told.tracks.points[:12].unbind(1)
    for track in points.unbind(1):
        assert any(torch.equal(track, column) for column in columns)
    assert sorted(len(life.points) for life in told.lives) == [12, 12, 12, 16]
    drawn = parse_document(as_document(told, 16.0), Canvas(64, 48, 17, 16.0)).sample()
    assert drawn.num_tracks == 4
