"""A live stream on disk: whole when it ends, and to be made whole after a crash from what had been written.

While it runs there is a folder `<name>.live` with the video as a bare H.264 stream, every chunk of which begins anew,
and a journal with a line for each chunk: where the video stands then and which events steered it. Undoing cuts both.
At the end, or by `repair` at the next start, they become `<name>.mp4`, `.log.json` (for a replay), `.tracks.npz` and
`.tracks.json` (for the editor), beside `<name>.png`, the image that it began with.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..files import new_file, write_text
from ..media.colours import as_yuv, tag_colours
from ..media.credentials import Certificate, comment, mark_mp4
from ..media.video_file import check_even, frame_rate
from ..streaming.events import LOG_VERSION, Event
from ..tracks.npz import save_npz
from .told import ToldTracks, as_document

FOLDER_SUFFIX = ".live"
QUEUED_BYTES = 256 * 2**20
CRF = 14
GENERATED = "generated"
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class About:
    """What a recording is of; all that a replay needs beside the model itself and the events.

    first_frames: frames of a chunk that begins a stream (1, or a whole chunk's). steps: denoise steps of a chunk.
    """

    model: str
    prompt: str
    width: int
    height: int
    fps: float
    seed: int
    chunk_frames: int
    first_frames: int
    steps: int


@dataclass(frozen=True)
class Files:
    """What a recording leaves; video is None where no frame was made."""

    video: Path | None
    tracks: Path
    document: Path
    log: Path


class Recording:
    """Writes one live stream, in a thread of its own.

    `push` never waits for the disk, until QUEUED_BYTES of frames wait for it: then it does, since nothing that was
    made may be lost. generated: the video says that a model made it (`media.credentials`). Raises OSError from the
    calls after one that failed.
    """

    def __init__(self, folder: Path, name: str, about: About, image: Pixels | None, *, generated: bool = True) -> None:
        self.about, self._out, self._name = about, folder, name
        if generated:
            Certificate.of_environment()  # raises before anything is recorded
        self._folder = folder / (name + FOLDER_SUFFIX)
        self._folder.mkdir(parents=True)
        self._lock = _locked(self._folder)
        write_text(self._folder / "about.json", json.dumps(asdict(about) | {GENERATED: generated}))
        if image is not None:
            with new_file(self._folder / "image.png") as file:
                Image.fromarray(image).save(file, format="PNG")
        self._journal = (self._folder / "journal.jsonl").open("w", buffering=1)
        self._video = _Bitstream(self._folder / "video.h264", about)
        self._ends: list[int] = []
        frame_bytes = about.width * about.height * 3 * max(1, about.chunk_frames)
        self._queue: queue.Queue[tuple[Any, ...] | None] = queue.Queue(max(2, QUEUED_BYTES // frame_bytes))
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="motionstream-recording", daemon=True)
        self._thread.start()

    def push(self, chunk: int, frames: Pixels, events: Sequence[Event]) -> None:
        """A chunk's frames (t h w 3) and the events that came before it."""
        self._put(("chunk", chunk, frames, list(events)))

    def back(self, chunk: int) -> None:
        """Chunk number `chunk` and all after it are undone."""
        self._put(("back", chunk))

    def finish(self, events: Sequence[Event] = ()) -> Files:
        """Write what is left, close, and make the files. events: that came after the last chunk."""
        if self._thread.is_alive():
            self._queue.put(("last", list(events)))
            self._queue.put(None)
        self._thread.join()
        self._video.close()
        self._journal.close()
        self._lock.close()
        if self._error is not None:
            raise self._error
        return finish(self._folder)

    def _put(self, item: tuple[Any, ...]) -> None:
        if self._error is not None:
            raise OSError(f"the recording failed: {self._error}") from self._error
        self._queue.put(item)

    def _write(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is not None:
                continue  # the queue is emptied, so that nobody waits
            try:
                self._write_one(item)
            except BaseException as error:
                self._error = error

    def _write_one(self, item: tuple[Any, ...]) -> None:
        if item[0] == "chunk":
            _, chunk, frames, events = item
            end = self._video.push(frames)
            self._ends.append(end)
            line = {"chunk": chunk, "frames": len(frames), "end": end, "events": [asdict(each) for each in events]}
        elif item[0] == "back":
            line = {"back": item[1]}
        else:
            line = {"events": [asdict(each) for each in item[1]]}
        self._journal.write(json.dumps(line) + "\n")
        if item[0] == "back":
            del self._ends[item[1] :]
            self._video.cut(self._ends[-1] if self._ends else 0)


class _Bitstream:
    """H.264 frame by frame into a file; every push begins with a picture that needs none before it."""

    def __init__(self, path: Path, about: About) -> None:
        import av

        check_even(about.height, about.width)
        self._av, self._file = av, path.open("wb")
        self._codec: Any = av.CodecContext.create("libx264", "w")
        self._codec.width, self._codec.height = about.width, about.height
        self._codec.pix_fmt = "yuv420p"
        tag_colours(self._codec)
        self._codec.framerate = frame_rate(about.fps)
        self._codec.time_base = 1 / self._codec.framerate
        # no picture waits for a later one: what was pushed is in the file
        self._codec.options = {
            "crf": str(CRF),
            "preset": "veryfast",
            "tune": "zerolatency",
            "forced-idr": "1",
            "threads": "1",
        }
        self._codec.gop_size = 100_000
        self._num_frames = 0

    def push(self, frames: Pixels) -> int:
        """Append frames (t h w 3); where the file ends then."""
        for index, pixels in enumerate(frames):
            picture = as_yuv(pixels)
            picture.pts = self._num_frames
            self._num_frames += 1
            picture.pict_type = self._av.video.frame.PictureType.I if index == 0 else 0
            for packet in self._codec.encode(picture):
                self._file.write(bytes(packet))
        self._file.flush()
        return self._file.tell()

    def cut(self, end: int) -> None:
        """Drop what stands behind byte `end`."""
        self._file.flush()
        self._file.truncate(end)
        self._file.seek(end)

    def close(self) -> None:
        self._file.close()


def repair(folder: Path) -> list[Files]:
    """Make whole what a crash left in `folder`; recordings that still run, in any process, are let alone."""
    mended = []
    for left in sorted(folder.glob("*" + FOLDER_SUFFIX)):
        if not (left / "about.json").is_file() or not (left / "journal.jsonl").is_file():
            continue
        try:
            lock = _locked(left)
        except BlockingIOError:
            continue
        lock.close()
        mended.append(finish(left))
    return mended


def finish(folder: Path) -> Files:
    """The files of a recording from its folder, which is then gone."""
    values = json.loads((folder / "about.json").read_text())
    generated = values.pop(GENERATED, True)  # folders of earlier releases do not say it
    about = About(**values)
    chunks, events, end = _read_journal(folder / "journal.jsonl")
    stem = folder.with_suffix("")
    part = Files(
        *(stem.with_name(stem.name + suffix) for suffix in (".mp4", ".tracks.npz", ".tracks.json", ".log.json"))
    )
    assert part.video is not None
    if chunks:
        _to_mp4(folder / "video.h264", end, part.video, about, generated)
    told = ToldTracks.of(events, chunks, about.height, about.width, about.first_frames)
    with new_file(part.tracks) as file:
        save_npz(told.tracks, file)
    write_text(part.document, as_document(told, about.fps))
    image = folder / "image.png"
    if image.is_file():
        os.replace(image, stem.with_name(stem.name + ".png"))
    values = asdict(about) | {"format": "motionstream-live", "version": LOG_VERSION, "num_chunks": len(chunks)}
    values |= {"num_frames": sum(chunks), "image": stem.name + ".png"}
    values |= {"events": [asdict(each) for each in events]}
    write_text(part.log, json.dumps(values))
    shutil.rmtree(folder)
    return part if chunks else Files(None, part.tracks, part.document, part.log)


def free_name(folder: Path, stem: str = "live") -> str:
    """The first `<stem>_00001` that no recording of the folder bears."""
    number = 1
    while any(folder.glob(f"{stem}_{number:05}.*")):
        number += 1
    return f"{stem}_{number:05}"


def _read_journal(path: Path) -> tuple[list[int], list[Event], int]:
    """(frames of every chunk, events, where the video ends), what was undone left out; a torn last line too."""
    chunks: list[tuple[int, int]] = []
    events: list[Event] = []
    for line in path.read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if "back" in entry:
            del chunks[entry["back"] :]
            events = [event for event in events if event.chunk < entry["back"]]
            continue
        events += [Event(**each) for each in entry["events"]]
        if "chunk" in entry:
            chunks.append((entry["frames"], entry["end"]))
    return [frames for frames, _ in chunks], events, chunks[-1][1] if chunks else 0


def _to_mp4(stream: Path, end: int, out: Path, about: About, generated: bool) -> None:
    """The first `end` bytes of an H.264 stream as an mp4, without coding them anew."""
    import av

    os.truncate(stream, end)
    rate = frame_rate(about.fps)
    certificate = Certificate.of_environment() if generated else None
    with stream.open("rb") as coded, new_file(out) as file:
        with av.open(coded, "r", format="h264") as source, av.open(file, "w", format="mp4") as target:
            if generated:
                target.metadata["comment"] = comment()
            video = source.streams.video[0]
            copy: Any = target.add_stream_from_template(video)
            copy.time_base = 1 / (rate * 1000)
            for number, packet in enumerate(each for each in source.demux(video) if each.size):
                packet.pts = packet.dts = number * 1000
                packet.duration = 1000
                packet.time_base = copy.time_base
                packet.stream = copy
                target.mux(packet)
        if generated:
            mark_mp4(file)
    if certificate is not None:
        certificate.sign(out)


def _locked(folder: Path) -> Any:
    """The folder's lock, held until closed or until the process ends. Raises BlockingIOError where another holds it."""
    file = (folder / "lock").open("w")
    try:
        import fcntl
    except ImportError:  # Windows refuses to rename or delete what is open, which says the same
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file
