"""The demo command: its own example, a user's photo, and what it says when something is wrong."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from motionstream_core.checkpoints import load_model
from motionstream_core.demo import __main__ as command
from motionstream_core.demo import render_demo
from motionstream_core.demo.command import print_report
from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.render_demo import Report, own_job, users_job
from motionstream_core.demo.weights import STUDENT
from motionstream_core.tracks import Tracks, save_npz
from motionstream_core.training.recipes.bundled_specs import STUDENT_SPEC
from motionstream_core.world.judge import locate

needs_weights = pytest.mark.skipif(not STUDENT.exists(), reason=f"needs the bundled weights, {STUDENT}")
Demo = Callable[..., int]
DOTS = {"red": (0.26, 0.42), "green": (0.55, 0.71), "blue": (0.8, 0.24)}  # where in the middle square, by share of it


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """Runs the command on the CPU with `--out` in a folder that is not there yet."""

    def run(*arguments: str | Path) -> int:
        argv = ["demo", "--device", "cpu", "--out", tmp_path / "out" / "clip", *arguments]
        monkeypatch.setattr(sys, "argv", [str(each) for each in argv])
        return command.main()

    return run


def photo(width: int, height: int) -> tuple[Image.Image, list[tuple[float, float]]]:
    """A photo of three coloured discs on grey, and their centres in px, continuous as tracks are."""
    y, x = np.mgrid[:height, :width] + 0.5
    pixels, places, side = np.full((height, width, 3), 128, np.uint8), [], min(width, height)
    for index, (across, down) in enumerate(DOTS.values()):
        center = (width / 2 + (across - 0.5) * side, height / 2 + (down - 0.5) * side)
        inside = np.hypot(x - center[0], y - center[1]) < 0.06 * side
        pixels[inside] = 20
        pixels[inside, index] = 235
        places.append(center)
    return Image.fromarray(pixels), places


def write_tracks(path: Path, starts: list[tuple[float, float]], way: tuple[float, float] = (0.0, 0.0)) -> Path:
    share = np.linspace(0, 1, 5)
    path.write_text(json.dumps([[{"x": x + way[0] * s, "y": y + way[1] * s} for s in share] for x, y in starts]))
    return path


def dot_places(image: np.ndarray) -> list[tuple[float, float]]:
    """Centroids (x, y) px of the red, green and blue disc."""
    values = image.astype(np.float64)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    places = []
    for index in range(3):
        weight = np.clip(values[..., index] - values[..., [i for i in range(3) if i != index]].max(-1), 0, None)
        places.append((float((weight * x).sum() / weight.sum()), float((weight * y).sum() / weight.sum())))
    return places


# --- the demo's own example


@needs_weights
@pytest.mark.thorough
def test_the_demo_writes_a_video_and_a_sheet_and_prints_its_numbers(
    tmp_path: Path, demo: Demo, capsys: pytest.CaptureFixture[str]
) -> None:
    av = pytest.importorskip("av", reason="needs PyAV")
    assert demo() == 0
    video, sheet = tmp_path / "out" / "clip.mp4", tmp_path / "out" / "clip.png"
    assert sorted(path.name for path in video.parent.iterdir()) == ["clip.mp4", "clip.png"]
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == STUDENT_SPEC.fps
    assert len(frames) == 49 and {frame.shape for frame in frames} == {(128, 128, 3)}
    example = drawn_example()
    assert np.abs(frames[0].astype(int) - example.image).mean() < 12  # it starts as the image, through the tiny VAE
    with Image.open(sheet) as image:
        assert image.width >= 4 * 320
    out = capsys.readouterr().out
    numbers = {
        "track error": r"([\d.]+) px  \(colour centroids of the objects\)",
        "time to first frame": r"([\d.]+) s",
        "frames per second": r"([\d.]+)  \(([\d.]+) s per chunk of 12\)",
        "peak memory": r"([\d.]+) MiB",
        "video": r"(.*clip\.mp4)  \(49 frames\)",
    }
    found = {name: re.search(rf"^{name} +{pattern}", out, re.MULTILINE) for name, pattern in numbers.items()}
    assert all(found.values()), out
    for name in ("track error", "time to first frame", "frames per second", "peak memory"):
        assert float(found[name].group(1)) > 0  # type: ignore[union-attr]


def test_the_own_example_is_what_it_claims() -> None:
    """Three objects, five points on each, the first at its centre: there the judge finds it in the image."""
    example = drawn_example()
    assert example.image.shape == (128, 128, 3) and example.tracks.points.shape == (49, 15, 2)
    centers, found = locate(example.image[None], example.scene)
    assert found.all()
    told = example.tracks.points[0, ::5].numpy()
    assert np.linalg.norm(centers[0] - told, axis=-1).max() < 1.5
    travel = (example.tracks.points - example.tracks.points[0]).norm(dim=-1).amax(0)
    assert (travel > 15).all()
    assert example.tracks.in_frame().all() and example.tracks.visibility.all()
    job = own_job(49)
    assert np.array_equal(job.image, example.image) and job.prompt == ""  # the model for pictures has no words for it
    assert example.prompt.endswith(" , still air")
    assert all(each.color in example.prompt for each in example.scene.sprites)


def test_the_own_examples_track_error_is_the_judges() -> None:
    """A video that stands still scores what it should have moved."""
    job = own_job(49)
    assert job.example is not None
    still = np.repeat(job.image[None], 49, 0)
    error, judged_by = render_demo._track_error(still, job)
    told = job.tracks.points[:, ::5]
    travel = float((told - told[0]).norm(dim=-1)[1:].mean())
    assert error == pytest.approx(travel, abs=1.5) and "centroids" in judged_by


# --- a user's photo


@pytest.mark.parametrize(
    "size",
    [(301, 517), (517, 301), (128, 128), (640, 480), (97, 61), (131, 1001)],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def test_tracks_land_on_what_they_were_drawn_on(tmp_path: Path, size: tuple[int, int]) -> None:
    """The discs of the fitted image are found where the tracks now start."""
    image, starts = photo(*size)
    image.save(tmp_path / "photo.png")
    tracks = write_tracks(tmp_path / "tracks.json", starts, way=(10.0, -6.0))
    job = users_job(tmp_path / "photo.png", tracks, "still air", (128, 128), 13)
    assert job.image.shape == (128, 128, 3) and job.example is None and job.prompt == "still air"
    assert (job.tracks.height, job.tracks.width, job.tracks.num_frames) == (128, 128, 13)
    found = np.array(dot_places(job.image))
    exact = np.array(dot_places(np.asarray(image)))  # a small disc's pixels have their own centroid
    scale = max(128 / size[0], 128 / size[1])
    np.testing.assert_allclose(job.tracks.points[0].numpy() - found, scale * (np.array(starts) - exact), atol=0.25)
    way = (job.tracks.points[-1] - job.tracks.points[0]).numpy()
    np.testing.assert_allclose(way, np.broadcast_to([10 * scale, -6 * scale], way.shape), rtol=1e-4)


def test_a_photo_that_the_camera_turned(tmp_path: Path) -> None:
    """Tracks are drawn on the photo as it is shown, not as it is stored."""
    shown, starts = photo(200, 300)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying: turn by 270 degrees to show
    shown.rotate(90, expand=True).save(tmp_path / "photo.png", exif=exif)
    tracks = write_tracks(tmp_path / "tracks.json", starts)
    job = users_job(tmp_path / "photo.png", tracks, "still air", (128, 128), 13)
    np.testing.assert_allclose(job.tracks.points[0].numpy(), dot_places(job.image), atol=0.4)


def test_npz_tracks_of_the_photos_size(tmp_path: Path) -> None:
    image, starts = photo(200, 150)
    image.save(tmp_path / "photo.png")
    points = torch.tensor(starts)[None].repeat(7, 1, 1)
    drawn = Tracks(points, torch.ones(7, 3, dtype=torch.bool), 150, 200, torch.tensor([9, 4, 77]))
    save_npz(drawn, tmp_path / "tracks.npz")
    job = users_job(tmp_path / "photo.png", tmp_path / "tracks.npz", "still air", (128, 128), 13)
    np.testing.assert_allclose(job.tracks.points[0].numpy(), dot_places(job.image), atol=0.4)
    assert job.tracks.ids.tolist() == [9, 4, 77]


@needs_weights
@pytest.mark.thorough
def test_a_users_job_runs(tmp_path: Path, demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    av = pytest.importorskip("av", reason="needs PyAV")
    pytest.importorskip("cv2", reason="needs OpenCV")
    image, starts = photo(301, 217)
    image.save(tmp_path / "photo.jpg", quality=95)
    tracks = write_tracks(tmp_path / "tracks.json", starts, way=(20.0, 10.0))
    given = ("--image", tmp_path / "photo.jpg", "--tracks", tracks, "--prompt", "still")
    assert demo(*given, "--frames", "13", "--seed", "3") == 0
    with av.open(str(tmp_path / "out" / "clip.mp4")) as container:
        assert len(list(container.decode(video=0))) == 13
    assert (tmp_path / "out" / "clip.png").exists()
    assert "Lucas-Kanade" in capsys.readouterr().out


# --- what goes wrong


def test_image_and_tracks_belong_together(tmp_path: Path, demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    for alone in ("--image", "--tracks"):
        assert demo(alone, tmp_path / "x") == 2
        assert "give both IMAGE and TRACKS, or neither" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["IMAGE", "TRACKS"])
def test_a_missing_file_is_named(tmp_path: Path, demo: Demo, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    image, starts = photo(64, 64)
    image.save(tmp_path / "photo.png")
    write_tracks(tmp_path / "tracks.json", starts)
    given = {"IMAGE": tmp_path / "photo.png", "TRACKS": tmp_path / "tracks.json", missing: tmp_path / "nowhere"}
    assert demo("--image", given["IMAGE"], "--tracks", given["TRACKS"]) == 2
    assert f"demo: {missing}: no file at {tmp_path / 'nowhere'}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "there are no tracks"),
        ("[[1, 2], [3", "neither JSON"),
        ('[[{"x": 1}]]', "track 0, sample 0"),
        ('[[{"x": 1, "y": "left"}]]', "track 0, sample 0"),
        ('{"tracks": []}', "document: field"),
    ],
    ids=["empty", "cut off", "no y", "no number", "an object"],
)
def test_malformed_tracks_are_explained(
    tmp_path: Path, demo: Demo, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    photo(64, 64)[0].save(tmp_path / "photo.png")
    (tmp_path / "tracks.json").write_text(content)
    assert demo("--image", tmp_path / "photo.png", "--tracks", tmp_path / "tracks.json") == 2
    error = capsys.readouterr().err
    assert error.startswith("motionstream demo: ") and message in error


def test_a_file_that_is_no_image_is_explained(tmp_path: Path, demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photo.png").write_text("no image")
    tracks = write_tracks(tmp_path / "tracks.json", [(1.0, 1.0)])
    assert demo("--image", tmp_path / "photo.png", "--tracks", tracks) == 2
    assert "photo.png is no picture that can be read" in capsys.readouterr().err


def test_missing_weights_are_named(
    tmp_path: Path, demo: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_demo, "PHOTO_STUDENT", tmp_path / "student.safetensors")
    assert demo() == 2
    assert f"no weights at {tmp_path / 'student.safetensors'}" in capsys.readouterr().err


@needs_weights
def test_a_wrong_length_or_word_is_explained_and_leaves_no_file(
    tmp_path: Path, demo: Demo, capsys: pytest.CaptureFixture[str]
) -> None:
    for frames, nearest in (("50", "49 or 61"), ("17", "13 or 25"), ("1", "13")):
        assert demo("--frames", frames) == 2
        assert f"nearest that fit: {nearest}\n" in capsys.readouterr().err
    image, starts = photo(64, 64)
    image.save(tmp_path / "photo.png")
    tracks = write_tracks(tmp_path / "tracks.json", starts)
    assert demo("--image", tmp_path / "photo.png", "--tracks", tracks, "--prompt", "a purple cow") == 2
    assert "unknown words a, cow, purple; this small model knows still" in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*"))


@needs_weights
def test_the_bundled_student_is_the_one_that_is_trained_here() -> None:
    assert load_model(STUDENT).spec == STUDENT_SPEC


def test_an_error_that_nobody_could_measure_is_told_as_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the light goes the flow follows no point."""
    for error, told in (
        (float("nan"), "track error          unknown  (flow)"),
        (1.26, "track error          1.3 px  (flow)"),
    ):
        print_report(Report(49, 0.1, 40.0, 0.3, 500.0, error, "flow", Path("a.mp4"), Path("a.png")), "cpu")
        assert told in capsys.readouterr().out.splitlines()
