"""The report on trackers: what it counts, checked with a tracker that is right, or wrong in a known way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from motionstream_core.evaluation.tracking.__main__ import main
from motionstream_core.evaluation.tracking.command import with_part
from motionstream_core.evaluation.tracking.ground_truth import (
    CLIPS,
    classes,
    follow,
    queries_of,
    score,
    table,
    textured_clip,
)
from motionstream_core.evaluation.tracking.round_trip import round_trip
from motionstream_core.media.frames import ArrayFrames, Frames, FrameSource
from motionstream_core.tracks import Tracks
from motionstream_core.tracks.extract.tracker import Queries, Report
from motionstream_core.world import Clip


class Oracle:
    """Knows the clip, and errs as it is told: by `off_px`, and by calling every point of the ground unseen."""

    name, in_workers = "oracle", False

    def __init__(self, clip: Clip, off_px: float = 0.0, blind: bool = False) -> None:
        self.clip, self.off_px, self.blind = clip, off_px, blind

    def track(self, frames: Frames | FrameSource, queries: Queries, report: Report | None = None) -> Tracks:
        which = queries_of(self.clip)[1]
        points = self.clip.points[:, which] + np.array([self.off_px, 0], np.float32)
        seen = self.clip.visibility[:, which] & ~(self.blind & (self.clip.owner[which] < 0))
        return Tracks(torch.from_numpy(points), torch.from_numpy(seen), 128, 128)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return next(c for c in map(textured_clip, range(20)) if not c.visibility.all())


def test_a_tracker_that_is_right_scores_so(clip: Clip) -> None:
    followed = follow(Oracle(clip), iter([clip]))
    for chosen in classes().values():
        s = score(followed, chosen(followed))
        if s.count:
            assert (s.median_px, s.mean_px, s.within_1_px, s.precision, s.recall, s.usable) == (0, 0, 1, 1, 1, 1)
    assert score(followed, classes()["all"](followed)).count == clip.visibility[1:, clip.visibility[0]].sum()


def test_errors_are_counted_where_they_are(clip: Clip) -> None:
    followed = follow(Oracle(clip, off_px=1.5, blind=True), iter([clip]))
    everything = np.ones(len(followed.true), bool)
    s = score(followed, everything)
    assert s.median_px == pytest.approx(1.5, abs=1e-4) and s.within_1_px == 0
    things = followed.true & followed.on_thing
    assert s.precision == 1 and s.recall == pytest.approx(things.sum() / followed.true.sum())
    assert s.usable == s.recall  # 1.5 px is near enough
    assert np.isnan(score(followed, ~followed.on_thing).median_px)
    wrong = replace(followed, predicted=~followed.true)
    assert score(wrong, everything).precision == 0


def test_classes_part_the_points(clip: Clip) -> None:
    followed = follow(Oracle(clip), iter([clip]))
    counted = sum(chosen(followed).astype(int) for name, chosen in classes().items() if name != "all")
    assert (counted == 1).all()
    assert followed.hidden.any() and not followed.hidden[followed.speed_px < 0].any()
    assert "| all | 0.00 | 0.00 | 100.0% |" in table(followed)


def test_kinds_differ_in_texture() -> None:
    busy = {kind: np.abs(np.diff(make(0, 2).frames[0].astype(int), axis=1)).mean() for kind, make in CLIPS.items()}
    assert busy["textured"] > 2 * busy["flat"]
    assert (CLIPS["flat"](1, 3).frames == CLIPS["flat"](1, 3).frames).all()


class Drifting:
    """Moves every point right by `step` px a frame, whichever way it is led, and loses those above y = 10."""

    name, in_workers = "drifting", False

    def __init__(self, step: float) -> None:
        self.step = step

    def track(self, frames: Frames | FrameSource, queries: Queries, report: Report | None = None) -> Tracks:
        count = frames.num_frames if not isinstance(frames, np.ndarray) else len(frames)
        away = np.abs(np.arange(count)[:, None] - queries[None, :, 0])
        points = queries[None, :, 1:] + np.stack([self.step * away, 0 * away], axis=-1)
        seen = np.repeat(queries[None, :, 2] >= 10, count, axis=0)
        return Tracks(torch.from_numpy(points.astype(np.float32)), torch.from_numpy(seen), 40, 60)


def test_there_and_back_adds_the_drift_of_both_ways() -> None:
    video = ArrayFrames(np.zeros((5, 40, 60, 3), np.uint8))
    trip = round_trip(Drifting(0.5), video, 4, 6)
    assert trip.arrived.mean() == pytest.approx(0.75) and (trip.returned == trip.arrived).all()
    np.testing.assert_allclose(trip.distance_px[trip.returned], 2 * 4 * 0.5)
    assert trip.row("x") == "| x | 5 of 60 x 40 | 24 | 75% | 100% | 4.00 | 0% | 0% |"


def test_a_part_of_a_page_is_written_anew() -> None:
    page = "a\n<!-- world -->\nold\n<!-- /world -->\nb"
    assert with_part(page, "world", "n\\1ew") == "a\n<!-- world -->\nn\\1ew\n<!-- /world -->\nb"
    with pytest.raises(ValueError, match="no <!-- videos -->"):
        with_part(page, "videos", "new")


def test_the_command_writes_table_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cv2", reason="the tracker without weights needs OpenCV")
    from motionstream_core.media.video_file import VideoFile
    from tests.core.tracks.moving_pictures import sliding

    with VideoFile(tmp_path / "clip.mp4", 8, crf=4) as file:
        file.push(torch.from_numpy(sliding((1, 1), num_frames=5)).float() / 255)
    page = tmp_path / "page.md"
    page.write_text("<!-- videos -->\n\n<!-- /videos -->\n")
    arguments = ["tracking", "--videos", str(tmp_path / "clip.mp4"), "--grid", "5", "5", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*arguments, "--doc", str(page)])
    assert main() == 0
    told = capsys.readouterr().out
    assert "| clip.mp4 | 5 of 80 x 80 | 25 |" in told and told.strip() in page.read_text()
    assert (tmp_path / "clip_tracks.mp4").stat().st_size > 1000
    assert (tmp_path / "clip_tracks.png").stat().st_size > 1000
