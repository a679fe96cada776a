"""Video files as a player shows them: frames with their times, decoded when they are asked for."""

from __future__ import annotations

import bisect
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .container_crop import Crop, crop_of
from .display import Display, is_hdr
from .faults import MediaError, checked_file, name_of
from .frames import WINDOW_FRAMES, Frames
from .times import TOLERANCE, Times, steady_rate

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v")
FORMATS = (
    *("mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "ogg", "asf", "mxf", "dv", "ivf", "nut"),
    *("gif", "apng", "h264", "hevc", "mpegvideo", "yuv4mpegpipe"),
    *("wav", "mp3", "aac", "flac"),  # known in order to say that they hold no video
)
"""FFmpeg's demuxers that may open a file. Those that follow links to other files and addresses are not among them."""
STILLS_BRAND = "mif1"  # ISO/IEC 23008-12
WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
GIF_LEAST_S, GIF_USUAL_S = 0.02, 0.1
CUT_OFF_S = 1.0
"""A Matroska file whose header states this much more than what is there was cut off."""


class VideoFrames:
    """The recorded frames of a video file, each once, as displayed; memory is the window's.

    A crop, a turn, a mirroring and oblong pixels that the file states are applied, and interlaced frames deinterlaced
    (`display` tells). num_frames: recorded ones. times_s: when they are shown, from the first one on; where they come
    evenly, exactly k / fps. fps: see `TimedFrames`; other consumers than those that go by `times_s` take `at_rate`.

    source: a path, or a binary file open for reading that can seek. start_s, duration_s: the part that is read, in
    seconds from the first frame on; a duration of 0 means up to the end. Raises ImportError without PyAV,
    FileNotFoundError, and MediaError naming the file and the fault: for what is broken, cut off or no video, for
    frames without times, and for a part without a frame.
    """

    def __init__(self, source: str | Path | BinaryIO, start_s: float = 0.0, duration_s: float = 0.0) -> None:
        # others read and seek in what they gave us: the bytes are shared, the place in them is not
        self._source = io.BytesIO(source.getvalue()) if isinstance(source, io.BytesIO) else source
        self.name = name_of(source, "video")
        stop_s = start_s + duration_s if duration_s > 0 else np.inf
        with opened(self._source) as (container, stream):
            times, self._twice, frame = _scanned(container, stream, stop_s)
            is_gif = container.format.name == "gif"
            times_s = _seconds(times, stream.time_base, is_gif)
            kept = np.flatnonzero((times_s >= start_s - TOLERANCE) & (times_s < stop_s - TOLERANCE))
            if not len(kept):
                raise MediaError(f"has no frame from {start_s:g} s to {stop_s:g} s; it lasts {times_s[-1]:g} s")
            self._times = times[kept[0] : kept[-1] + 1]
            times_s = times_s[kept] - times_s[kept[0]]
            crop = _crop(self._source, container, stream)
            self.display = Display.of(frame, float(stream.sample_aspect_ratio or 1), crop)
            self.height, self.width = self.display.shown(frame).shape[:2]
            stated = 0 if is_gif else stream.average_rate or stream.guessed_rate or 0
            fps, self.is_even = steady_rate(times_s, float(stated))
        self.num_frames, self.fps = len(self._times), fps or 1.0  # a single frame may state no rate
        self.times_s = np.arange(self.num_frames) / self.fps if self.is_even else times_s
        self._running: Iterator[Any] | None = None  # what is being decoded, and the number of the frame that it is at
        self._next = 0

    def read(self, start: int, stop: int) -> Frames:
        """Raises MediaError where no frame can be decoded, or one has another size than the others."""
        return self.at(np.arange(start, stop))

    def at(self, numbers: NDArray[np.int64]) -> Frames:
        """See `TimedFrames`. Raises as `read`."""
        own, places = np.unique(numbers, return_inverse=True)
        return self._read(own)[places] if len(own) < len(numbers) else self._read(own)

    def _read(self, numbers: NDArray[np.int64]) -> Frames:
        """Frames of rising numbers, each once."""
        wanted, start, stop = [self._times[number] for number in numbers], int(numbers[0]), int(numbers[-1]) + 1
        goes_on = self._running is not None and 0 <= start - self._next <= WINDOW_FRAMES
        found = self._decoded(wanted, self._running) if goes_on and self._running is not None else None
        # Some containers seek by the times of decoding and may land behind the frame: then from further back.
        for seek in dict.fromkeys((wanted[0], self._times[max(0, start - WINDOW_FRAMES)], None)):
            if found:
                break
            self._running = self._frames_from(seek)
            found = self._decoded(wanted, self._running, may_be_late=seek is not None)
        if not found:
            raise MediaError(f"breaks off: frames {start} to {stop - 1} cannot be decoded", self.name)
        if others := {each.shape[1::-1] for each in found.values()} - {(self.width, self.height)}:
            told = " and ".join(f"{width} x {height}" for width, height in sorted(others))
            fault = f"changes its size from {self.width} x {self.height} to {told} px by frame {stop - 1}"
            raise MediaError(fault, self.name)
        self._next = stop
        # A frame that the decoder left out shows the one before it (or, at the start, after it), as players do.
        last = found[min(found)]
        return np.stack([last := found.get(index, last) for index in range(len(wanted))])

    def _decoded(self, wanted: list[int], frames: Iterator[Any], may_be_late: bool = False) -> dict[int, Frames] | None:
        """Frames by their place in `wanted`, out of decoded ones; None where those begin behind the first of them."""
        found: dict[int, Frames] = {}
        for number, frame in enumerate(frames):
            if may_be_late and not number and (frame.pts is None or frame.pts > wanted[0]):
                return None
            index = bisect.bisect_left(wanted, frame.pts) if frame.pts is not None else len(wanted)
            if index < len(wanted) and wanted[index] == frame.pts:
                found[index] = self._shown(frame)
            if len(found) == len(wanted) and wanted[-1] not in self._twice:
                return found
            if (frame.pts or 0) > wanted[-1]:
                break
        self._running = None  # a frame too many was taken out of it, or there is none left
        return found

    def _shown(self, frame: Any) -> Frames:
        try:
            return self.display.shown(frame)
        except MediaError as error:
            raise error.of(self.name) from None

    def _frames_from(self, seek: int | None) -> Iterator[Any]:
        """Decoded frames, from the keyframe at or before the time `seek` on; None: from the beginning."""
        with opened(self._source) as (container, stream):
            stream.thread_type = "AUTO"
            decoder = _decoder(stream)
            if seek is not None and seek > (stream.start_time or 0):
                container.seek(seek, stream=stream, backward=True)
            for packet in container.demux(stream):
                yield from decoder.decode(packet)


def videos_below(folder: Path) -> list[Path]:
    """The video files below a folder, by their suffixes, in the order of their names."""
    return sorted(each for each in folder.rglob("*") if each.suffix.lower() in VIDEO_SUFFIXES and each.is_file())


@dataclass(frozen=True)
class VideoInfo:
    """A video as its header tells it. width, height: px as displayed, before a turn. last_s: time of its last frame,
    the first being at 0. hdr: see `Display`."""

    path: Path
    width: int
    height: int
    fps: float
    last_s: float
    hdr: bool = False


def video_info(path: Path) -> VideoInfo:
    """What the header says; nothing is decoded. Raises as `VideoFrames`."""
    with opened(path) as (container, stream):
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        if fps <= 0:
            raise MediaError("states no frame rate in its header")
        last_s = _last_time(container, stream)
        if last_s is None:
            raise MediaError("has frames that carry no times")
        crop = _crop(path, container, stream)
        crop = crop if crop.fits(stream.width, stream.height) else Crop()
        width = round((stream.width - crop.left - crop.right) * float(stream.sample_aspect_ratio or 1))
        height = stream.height - crop.top - crop.bottom
        return VideoInfo(path, width, height, fps, last_s, is_hdr(stream.codec_context))


@contextmanager
def opened(source: str | Path | BinaryIO) -> Iterator[tuple[Any, Any]]:
    """(container, its video stream); what goes wrong with it comes out as MediaError that begins with its name."""
    try:
        import av
        from av.error import FFmpegError
    except ImportError as error:
        raise ImportError("reading a video needs PyAV; pip install av") from error
    name = name_of(source, "video")
    options = {"format_whitelist": ",".join(FORMATS)}
    if isinstance(source, str | Path):
        target: Any = str(checked_file(source))
    else:
        source.seek(0)
        target = source
    try:
        container = av.open(target, "r", container_options=options)
    except FFmpegError as error:
        fault = f"is no video that can be read, or only the beginning of one{_hint(source)}"
        raise MediaError(fault, name) from error
    with container:
        try:
            yield container, _video_stream(container)
        except MediaError as error:
            raise error.of(name) from None
        except FFmpegError as error:
            raise MediaError(f"is broken: {error.strerror}", name) from error


def _hint(source: str | Path | BinaryIO) -> str:
    """What to do with pictures that move and come as a file that FFmpeg knows not as a video."""
    if isinstance(source, str | Path):
        with open(source, "rb") as file:
            head = file.read(12)
    else:
        source.seek(0)
        head = source.read(12)
    return "; WebP animations are to be converted to mp4 first" if head[8:] == b"WEBP" else ""


def _video_stream(container: Any) -> Any:
    """The video that the file says to show, else the first; no still picture."""
    videos = [each for each in container.streams.video if not _is_still(container, each)]
    if not videos:
        only = "sound" if container.streams.audio else "still pictures"
        raise MediaError(f"has no video in it, only {only}")
    return next((each for each in videos if "default" in (each.disposition.name or "")), videos[0])


def _seconds(times: list[int], time_base: Fraction, is_gif: bool) -> Times:
    """Times from the first one on. A GIF's frames that are to be shown for less than 1/50 s stay for 1/10 s, in
    every browser."""
    since = np.array([float((time - times[0]) * time_base) for time in times])
    if not is_gif:
        return since
    gaps = np.diff(since)
    return np.concatenate([[0.0], np.cumsum(np.where(gaps < GIF_LEAST_S - TOLERANCE, GIF_USUAL_S, gaps))])


def _decoder(stream: Any) -> Any:
    """What decodes a stream. FFmpeg's own decoders of VP8 and VP9 leave transparency out, and show what it hides."""
    own = stream.codec_context
    if stream.metadata.get("alpha_mode") != "1" or own.name not in WITH_ALPHA:
        return own
    from av.codec.codec import UnknownCodecError
    from av.codec.context import CodecContext

    try:
        return CodecContext.create(WITH_ALPHA[own.name], "r")
    except UnknownCodecError:
        raise MediaError(f"is transparent, which this PyAV cannot read: it lacks {WITH_ALPHA[own.name]}") from None


def _is_still(container: Any, stream: Any) -> bool:
    """Whether a stream is a cover picture, or one of a file of pictures (AVIF, HEIC), which has no duration."""
    is_item = STILLS_BRAND in container.metadata.get("compatible_brands", "") and stream.duration is None
    return is_item or "attached_pic" in (stream.disposition.name or "")


def _crop(source: str | Path | BinaryIO, container: Any, stream: Any) -> Crop:
    """What the container says of this one of its videos."""
    place = sum(not _is_still(container, each) for each in container.streams.video if each.index < stream.index)
    if not isinstance(source, str | Path):
        return crop_of(source, place)
    with open(source, "rb") as file:
        return crop_of(file, place)


def _scanned(container: Any, stream: Any, stop_s: float) -> tuple[list[int], set[int], Any]:
    """(sorted times of the frames that are shown, up to a little after `stop_s`; those of several frames, of which the
    last is shown; the first frame), out of the packets.

    Nothing is decoded but that frame.
    """
    stated = max((entry.pos + entry.size for entry in getattr(stream, "index_entries", ())), default=0)
    if 0 < container.size < stated:
        raise MediaError(f"is cut off: its index names {stated} bytes, and {container.size} are there")
    found: list[int | None] = []
    first: Any = None
    limit = None if stop_s == np.inf else (stream.start_time or 0) + (stop_s + CUT_OFF_S) / stream.time_base
    ended = 0.0
    decoder = _decoder(stream)
    for packet in container.demux():
        if packet.dts is not None and packet.size:
            ended = max(ended, float((packet.dts + (packet.duration or 0)) * packet.time_base))
        if packet.stream is stream and first is None:
            first = next(iter(decoder.decode(packet)), None)
        # what an edit list cuts off is stored, but not shown
        if packet.stream is stream and packet.size and not packet.is_discard:
            found.append(packet.pts)
            if limit is not None and packet.dts is not None and packet.dts > limit:
                break
    else:
        stated_s = container.duration / 1e6 if container.duration else 0.0
        if "matroska" in container.format.name and stated_s > ended + CUT_OFF_S:
            raise MediaError(f"is cut off: its header states {stated_s:.1f} s, and it ends after {ended:.1f} s")
    if not found:
        raise MediaError("holds no frame")
    counts = Counter(time for time in found if time is not None)
    if None in found or len(counts) < len(found) / 2:
        raise MediaError("has frames that carry no distinct times; convert it to an mp4 of constant rate first")
    if first is None:
        raise MediaError("holds no frame that can be decoded")
    return sorted(counts), {time for time, count in counts.items() if count > 1}, first


def _last_time(container: Any, stream: Any) -> float | None:
    """Time in s of the last frame, the first being at 0: the packets behind the last keyframe tell, none is decoded."""
    start, end = stream.start_time or 0, stream.duration
    if end is None and container.duration is not None:
        end = int(container.duration / 1e6 / stream.time_base)
    if end is not None:
        container.seek(start + end, stream=stream, backward=True)
    times = [packet.pts for packet in container.demux(stream) if packet.size and packet.pts is not None]
    return float((max(times) - start) * stream.time_base) if times else None
