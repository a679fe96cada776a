"""Preparing videos: small films whose frames tell their own time; filters, resuming, sharing, worker processes."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

pytest.importorskip("av", reason="reading videos needs PyAV")
pytest.importorskip("cv2", reason="preparing videos needs OpenCV")

from motionstream_core.geometry import VaeStride
from motionstream_core.media.video_file import VideoFile
from motionstream_core.pool.pool import InProcess
from motionstream_core.tracks import Tracks
from motionstream_core.tracks.extract.tracker import OpenCvTracker, Tracker
from motionstream_core.training.data import prepare
from motionstream_core.training.data.encoders import ClipEncoders
from motionstream_core.training.data.footage import Footage, FootageError, fit_frame, read_footage
from motionstream_core.training.data.prepare import PrepareSettings, ShardWorker
from motionstream_core.training.data.shards import PrepareReport
from motionstream_core.training.data.sources import Source, read_sources
from motionstream_core.training.data.workers import ordered_map
from tests.core.media.video_files import write_video

LEVEL_STEP = 4
STRIDE = VaeStride(4, 8)
ANY_ASPECT = (0.1, 10.0)
SETTINGS = PrepareSettings((32, 48), 5, grid=(3, 4), sources_per_shard=2)


def film(path: Path, num_frames: int, fps: float = 16.0, size: tuple[int, int] = (48, 72), seed: int = 0) -> Path:
    """A still, textured picture, but for its top left quarter, whose level is LEVEL_STEP times the frame's number."""
    height, width = size
    picture = np.random.default_rng(seed).uniform(0.2, 0.8, (height // 4, width // 4, 3)).repeat(4, 0).repeat(4, 1)
    frames = np.repeat(picture[None], num_frames, 0)
    frames[:, : height // 2, : width // 2] = (np.arange(num_frames) * LEVEL_STEP / 255)[:, None, None, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoFile(path, fps, crf=1) as file:
        file.push(torch.from_numpy(frames))
    return path


def times(frames: np.ndarray) -> list[int]:
    """The numbers of the frames that these were."""
    height, width = frames.shape[1:3]
    corner = frames[:, height // 8 : height // 3, width // 8 : width // 3].astype(float)
    return np.round(corner.mean((1, 2, 3)) / LEVEL_STEP).astype(int).tolist()


@dataclass
class PooledEncoders:
    """Latents are the means of 8 x 8 px of every fourth frame; texts are the lengths of the words."""

    name: str = "pooled"
    stride: VaeStride = STRIDE
    calls: int = 0
    fail_at: int = -1

    def vae_latents(self, frames: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        return torch.nn.functional.avg_pool3d(frames[:, :, ::4], (1, 8, 8))

    def image_condition(self, frames: Tensor) -> Tensor | None:
        return None

    def text(self, captions: Sequence[str]) -> list[Tensor] | None:
        return [torch.tensor([[float(len(word))] for word in [*caption.split(), "."]]) for caption in captions]

    @property
    def empty_text(self) -> Tensor | None:
        return torch.ones(1, 1)

    def image_tokens(self, image: Tensor) -> Tensor | None:
        return None

    def caption_fault(self, caption: str) -> str | None:
        return "a forbidden word" if "forbidden" in caption else None


@dataclass(frozen=True)
class BlindTracker:
    """Sees nothing after the first frame."""

    name: str = "blind"
    in_workers: bool = False

    def track(self, frames: np.ndarray, queries: np.ndarray) -> Tracks:
        points = torch.from_numpy(queries[:, 1:]).expand(len(frames), -1, -1).contiguous()
        visibility = torch.zeros(points.shape[:2], dtype=torch.bool)
        visibility[0] = True
        return Tracks(points, visibility, *frames.shape[1:3])


def pooled_tools(device: str) -> tuple[ClipEncoders, Tracker]:
    """What a worker opens."""
    return PooledEncoders(), OpenCvTracker()


def prepare_videos(
    sources: Sequence[Source],
    settings: PrepareSettings,
    encoders: ClipEncoders,
    tracker: Tracker,
    folder: Path,
    num_workers: int = 0,
    part: tuple[int, int] = (0, 1),
    report: Callable[[int, int], None] | None = None,
) -> PrepareReport:
    """In this process, with these encoders and this tracker."""
    worker = ShardWorker(sources, settings, lambda device: (encoders, tracker), folder, num_workers, report)
    return prepare.prepare_videos(worker, InProcess("cpu"), part)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def clips_of(folder: Path) -> list[dict[str, object]]:
    clips = []
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as file:
            clips += json.loads(file.metadata()["about"])["clips"]
    return clips


# --- re-sampling, cropping


@pytest.mark.parametrize(("fps", "num_frames"), [(8, 12), (16, 20), (24, 40), (25, 41), (30, 50), (60, 60)])
def test_each_frame_is_the_nearest_in_time(tmp_path: Path, fps: float, num_frames: int) -> None:
    path = film(tmp_path / "a.mp4", num_frames, fps)
    found = times(read_footage(path, Footage((48, 72), 16.0, 1000, ANY_ASPECT))[0])
    shown = np.arange(num_frames) / fps
    count = len([t for t in itertools.takewhile(lambda t: t / 16 < shown[-1] + 0.5 / 16, itertools.count())])
    assert len(found) == count
    for index, number in enumerate(found):
        distance = np.abs(shown - index / 16)
        assert distance[number] <= distance.min() + 1e-4, (index, number)


def test_no_more_is_read_than_wanted(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", 40)
    assert times(read_footage(path, Footage((48, 72), 16.0, 7, ANY_ASPECT))[0]) == list(range(7))


def test_the_middle_is_kept_when_sides_are_cut() -> None:
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 30:70] = 100
    pixels[10:30, 40:60] = 200
    fitted = fit_frame(pixels, Footage((20, 20), 16, 1, ANY_ASPECT))
    assert fitted.shape == (20, 20, 3)
    expected = np.full((20, 20, 3), 100)
    expected[5:15, 5:15] = 200
    assert np.array_equal(fitted, expected)
    upright = fit_frame(pixels.transpose(1, 0, 2), Footage((20, 20), 16, 1, ANY_ASPECT))
    assert np.array_equal(upright, expected)


# --- sources


def test_a_folder_lists_its_videos_with_the_texts_beside_them(tmp_path: Path) -> None:
    for name in ("b/two.MP4", "one.mp4", "three.mkv", "readme.md", "four.webm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "one.txt").write_text(" a cat \n", "utf-8-sig")
    (tmp_path / "b" / "two.txt").write_text("Vögel", "utf-8")
    (tmp_path / "four.txt").write_text("\n", "utf-8")
    assert [(source.video.name, source.caption) for source in read_sources(tmp_path)] == [
        ("two.MP4", "Vögel"),
        ("four.webm", None),
        ("one.mp4", "a cat"),
        ("three.mkv", None),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_at_the_beginning_is_no_part_of_a_list(tmp_path: Path, encoding: str) -> None:
    """As spreadsheets and Windows' editors save them; the first column's name comes right after the mark."""
    expected = [Source(tmp_path / "a.mp4", "ein Vogel"), Source(tmp_path / "b.mp4", "two\u2028lines")]
    (tmp_path / "list.csv").write_text("video,caption\r\na.mp4,ein Vogel\r\nb.mp4,two\u2028lines\r\n", encoding)
    rows = [{"video": each.video.name, "caption": each.caption} for each in expected]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "list.jsonl").write_text(text, encoding)
    assert read_sources(tmp_path / "list.csv") == read_sources(tmp_path / "list.jsonl") == expected
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"")
    (tmp_path / "videos" / "a.txt").write_text("ein Vogel\r\n", encoding)
    assert [each.caption for each in read_sources(tmp_path / "videos")] == ["ein Vogel"]


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl", "videos"])
def test_another_encoding_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"")
    file = tmp_path / ("videos/a.txt" if name == "videos" else name)
    file.write_bytes("video,caption\na.mp4,ein schöner Vogel\n".encode("latin-1"))
    with pytest.raises(ValueError, match=rf"^{file.name}: this is no UTF-8 text .*; save it as UTF-8"):
        read_sources(tmp_path / name)


def test_lists_in_csv_and_jsonl_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text('id,caption,video\n1,"a, b",x/a.mp4\n2,,b.mp4\n', "utf-8")
    rows = [{"video": "x/a.mp4", "caption": "a, b"}, {"video": "b.mp4", "caption": ""}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n", "utf-8-sig")
    expected = [Source(tmp_path / "x/a.mp4", "a, b"), Source(tmp_path / "b.mp4", None)]
    assert read_sources(tmp_path / "list.csv") == read_sources(tmp_path / "list.jsonl") == expected


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.csv", "video,text\nx.mp4,cat\n", "column 'caption' is missing"),
        ("a.csv", "", "column 'video' is missing"),
        ("a.csv", "video,caption\n", "names no videos"),
        ("a.csv", "caption,video\ncat\n", "line 2: the column 'video' is missing"),
        ("a.jsonl", '{"video": "x.mp4"}', "line 1: the column 'caption' is missing"),
        ("a.jsonl", '{"video": "x.mp4", "caption": "a"}\n{x}', "line 2 is no JSON"),
        ("a.jsonl", "[1]", "line 1 is '\\[1\\]'; it must be an object"),
        ("a.jsonl", "\n", "names no videos"),
        ("a.txt", "x.mp4", "neither a folder of videos nor a list"),
    ],
)
def test_bad_lists_are_named(tmp_path: Path, name: str, text: str, fault: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(ValueError, match=fault):
        read_sources(tmp_path / name)


def test_an_empty_folder_and_a_missing_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no videos"):
        read_sources(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder or list"):
        read_sources(tmp_path / "nowhere")


# --- what becomes of each video


def test_every_filter_is_reported_and_none_is_fatal(tmp_path: Path) -> None:
    good = film(tmp_path / "good.mp4", 12)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(good.read_bytes()[: good.stat().st_size // 3])
    (tmp_path / "noise.mp4").write_bytes(b"\x00\x01" * 500)
    sources = [
        Source(good, "a good one"),
        Source(broken, "cut off"),
        Source(tmp_path / "noise.mp4", "no video at all"),
        Source(tmp_path / "gone.mp4", "not there"),
        Source(film(tmp_path / "short.mp4", 4), "short"),
        Source(film(tmp_path / "wide.mp4", 12, size=(16, 96)), "wide"),
        Source(good, None),
        Source(good, "a forbidden word"),
        Source(good, "the last one"),
    ]
    seen: list[tuple[int, int]] = []
    out = tmp_path / "out"
    made = prepare_videos(
        sources, SETTINGS, PooledEncoders(), OpenCvTracker(), out, report=lambda *pair: seen.append(pair)
    )
    assert seen == [(index, 9) for index in range(1, 10)]
    assert (made.num_sources, made.num_clips) == (9, 2)
    assert made.reasons == {"unreadable": 3, "too short": 1, "aspect": 1, "no caption": 1, "caption": 1}
    assert [clip["caption"] for clip in clips_of(out)] == ["a good one", "the last one"]
    with (out / "report.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(Path(row["video"]).name, row["reason"]) for row in rows] == [
        ("broken.mp4", "unreadable"),
        ("noise.mp4", "unreadable"),
        ("gone.mp4", "unreadable"),
        ("short.mp4", "too short"),
        ("wide.mp4", "aspect"),
        ("good.mp4", "no caption"),
        ("good.mp4", "caption"),
    ]
    assert "4 frames at 16 fps, wanted 5" in rows[3]["detail"] and "6.00" in rows[4]["detail"]
    counts = json.loads((out / "report.json").read_text("utf-8"))
    assert counts["sources"] == 9 and counts["clips"] == 2 and counts["reasons"] == made.reasons


def test_videos_in_hdr_are_taken_and_named(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(50, 200, (12, 18, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    for name, options in (("plain", {}), ("pq", {"x264-params": "transfer=smpte2084"})):
        write_video(tmp_path / f"{name}.mp4", [picture] * 12, options=options)
    sources = [Source(tmp_path / f"{name}.mp4", "words") for name in ("plain", "pq", "pq")]
    made = prepare_videos(sources, SETTINGS, PooledEncoders(), OpenCvTracker(), tmp_path / "out")
    assert made.num_clips == 3 and not made.dropped
    assert made.hdr == (str(tmp_path / "pq.mp4"),)
    assert json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["hdr"] == [str(tmp_path / "pq.mp4")]


def test_clips_that_cannot_be_tracked_are_dropped(tmp_path: Path) -> None:
    sources = [Source(film(tmp_path / "a.mp4", 8), "a")]
    made = prepare_videos(sources, SETTINGS, PooledEncoders(), BlindTracker(), tmp_path / "out")
    assert made.num_clips == 0 and made.reasons == {"no tracks": 1}
    assert not list((tmp_path / "out").glob("*.safetensors"))
    lenient = replace(SETTINGS, min_followed=0.0)
    assert prepare_videos(sources, lenient, PooledEncoders(), BlindTracker(), tmp_path / "all").num_clips == 1


def test_a_shard_holds_what_the_encoders_and_the_tracker_say(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", 12)
    prepare_videos([Source(path, "two words")], SETTINGS, PooledEncoders(), OpenCvTracker(), tmp_path / "out")
    frames, _ = read_footage(path, Footage((32, 48), 16.0, 5, ANY_ASPECT))
    with safe_open(str(tmp_path / "out" / "video_00000.safetensors"), framework="pt") as file:
        held = {name.partition(".")[2] or name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["about"])
    expected = frames[::4].reshape(2, 4, 8, 6, 8, 3).mean((2, 4)).transpose(3, 0, 1, 2) / 255
    np.testing.assert_allclose(held["latents"].float(), expected, atol=1e-3)
    assert held["text"].float().flatten().tolist() == [3, 5, 1] and held["empty_text"].tolist() == [[1.0]]
    assert set(held) == {"latents", "text", "empty_text", "start", "offset", "visibility"}
    grid = [[12 * j + 6, (i + 0.5) * 32 / 3] for i in range(3) for j in range(4)]
    torch.testing.assert_close(held["start"], torch.tensor(grid))
    assert held["offset"].shape == (5, 12, 2) and held["offset"].dtype == torch.float16
    still = held["start"].prod(1) > 24 * 16 * 1.5  # away from the corner that changes
    assert held["visibility"][:, still].float().mean() > 0.9 and held["offset"][:, still].abs().max() < 0.5
    assert about["clips"] == [{"caption": "two words", "video": str(path), "start_s": 0.0}]
    assert (about["frame_size"], about["fps"], about["stride"]) == ([32, 48], 16.0, [4, 8])


def test_a_long_video_gives_several_clips(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", 16)
    settings = replace(SETTINGS, clip_stride_frames=4, max_clips=3, min_followed=0.0)
    prepare_videos([Source(path, "long")], settings, PooledEncoders(), OpenCvTracker(), tmp_path / "out")
    assert [clip["start_s"] for clip in clips_of(tmp_path / "out")] == [0.0, 0.25, 0.5]
    with safe_open(str(tmp_path / "out" / "video_00000.safetensors"), framework="pt") as file:
        corners = [file.get_tensor(f"{row:05d}.latents")[:, :, 0, 0].float().mean(0) * 255 for row in range(3)]
    assert [[round(float(level) / LEVEL_STEP) for level in pair] for pair in corners] == [[0, 4], [4, 8], [8, 12]]
    two = replace(settings, max_clips=2)
    prepare_videos([Source(path, "long")], two, PooledEncoders(), OpenCvTracker(), tmp_path / "two")
    assert len(clips_of(tmp_path / "two")) == 2


# --- resuming, sharing, working side by side


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    made = [Source(film(tmp_path / f"{name}.mp4", 8, seed=index), name) for index, name in enumerate("abcde")]
    made[2] = Source(tmp_path / "gone.mp4", "gone")
    return made


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(tmp_path: Path, sources: list[Source]) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    prepare_videos(sources, SETTINGS, PooledEncoders(), OpenCvTracker(), whole)
    with pytest.raises(KeyboardInterrupt):
        prepare_videos(sources, SETTINGS, PooledEncoders(fail_at=3), OpenCvTracker(), stopped)
    assert {path.name for path in stopped.glob("video_*")} == {"video_00000.json", "video_00000.safetensors"}
    (stopped / "video_00001.safetensors").write_bytes(b"left by a run that died between the shard and its report")
    encoders = PooledEncoders()
    prepare_videos(sources, SETTINGS, encoders, OpenCvTracker(), stopped)
    assert encoders.calls == 2  # d and e; a and b were finished
    assert contents(stopped) == contents(whole)
    again = PooledEncoders()
    made = prepare_videos(sources, SETTINGS, again, OpenCvTracker(), stopped)
    assert again.calls == 0 and made.num_clips == 4 and contents(stopped) == contents(whole)


def test_parts_of_several_machines_make_the_whole(tmp_path: Path, sources: list[Source]) -> None:
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    prepare_videos(sources, SETTINGS, PooledEncoders(), OpenCvTracker(), whole)
    seen: list[tuple[int, int]] = []
    for index in (1, 0):
        prepare_videos(
            sources, SETTINGS, PooledEncoders(), OpenCvTracker(), shared, part=(index, 2),
            report=lambda *pair: seen.append(pair),
        )  # fmt: skip
    assert seen == [(1, 2), (2, 2), (1, 3), (2, 3), (3, 3)]
    assert contents(shared) == contents(whole)


@pytest.mark.slow
def test_worker_processes_change_nothing(tmp_path: Path, sources: list[Source]) -> None:
    serial, parallel = tmp_path / "serial", tmp_path / "parallel"
    prepare_videos(sources, SETTINGS, PooledEncoders(), OpenCvTracker(), serial)
    prepare_videos(sources, SETTINGS, PooledEncoders(), OpenCvTracker(), parallel, num_workers=2)
    assert contents(parallel) == contents(serial)


@pytest.mark.slow
def test_an_item_that_kills_its_process_costs_only_itself() -> None:
    items = ["1 + 1", "__import__('os')._exit(3)", "2 + 2", "3 + 3"]
    assert list(ordered_map(eval, items, 2)) == [2, None, 4, 6]


def test_other_settings_do_not_mix_with_a_folders_own(tmp_path: Path, sources: list[Source]) -> None:
    out = tmp_path / "out"
    prepare_videos(sources, SETTINGS, PooledEncoders(), OpenCvTracker(), out)
    for fault, changed, encoders, tracker in (
        ("settings", replace(SETTINGS, fps=8.0), PooledEncoders(), OpenCvTracker()),
        ("encoders", SETTINGS, PooledEncoders(name="finer"), OpenCvTracker()),
        ("tracker", SETTINGS, PooledEncoders(), OpenCvTracker(keep=0.9)),
    ):
        with pytest.raises(ValueError, match=f"other {fault}"):
            prepare_videos(sources, changed, encoders, tracker, out)
    with pytest.raises(ValueError, match="other sources"):
        prepare_videos(sources[1:], SETTINGS, PooledEncoders(), OpenCvTracker(), out)


def test_nothing_to_do_and_impossible_parts_are_refused(tmp_path: Path, sources: list[Source]) -> None:
    with pytest.raises(ValueError, match="no videos"):
        prepare_videos([], SETTINGS, PooledEncoders(), OpenCvTracker(), tmp_path)
    for part in ((2, 2), (-1, 2), (0, 0)):
        with pytest.raises(ValueError, match="part is"):
            prepare_videos(sources, SETTINGS, PooledEncoders(), OpenCvTracker(), tmp_path, part=part)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"num_frames": 6}, r"1 \+ 4k"),
        ({"fps": 0.0}, "fps"),
        ({"min_frames": 3}, "min_frames"),
        ({"clip_stride_frames": 0}, "clip_stride_frames"),
        ({"max_clips": 0}, "max_clips"),
        ({"sources_per_shard": 0}, "sources_per_shard"),
        ({"aspect_range": (2.0, 1.0)}, "aspect_range"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        replace(SETTINGS, **changes)  # pyright: ignore[reportArgumentType]


def test_an_error_keeps_its_reason_between_processes() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(FootageError("aspect", "6.00")))
    assert (error.reason, error.detail, str(error)) == ("aspect", "6.00", "aspect: 6.00")
