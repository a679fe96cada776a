"""Videos of the world in a real ComfyUI: shown as a player shows them, in their own time, and written as it writes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.reference_clip import reference_clip
from motionstream_core.world.judge import locate
from tests.core.media.test_colours import TAGS, tags
from tests.core.media.video_files import set_matrix, write_video
from tests.core.tracks.moving_pictures import sliding
from tests.host.comfy_host import ComfyHost
from tests.host.test_nodes_in_host import inputs_of, key_of, saved_video, video_frames

pytestmark = pytest.mark.host

EXTRACTION = {"tracker": "opencv", "query_frame": 0, "coordinates": "", "checkpoint": "auto", "images_fps": 16.0}


def extract(host: ComfyHost, file: str) -> tuple[str, list[int]]:
    """The report of tracks of a file that core's own node loads, and width, height and length."""
    names = {1: "width", 2: "height", 3: "length", 5: "report"}
    prompt: dict[str, Any] = {
        "video": {"class_type": "LoadVideo", "inputs": {"file": file}},
        "tracks": {
            "class_type": "MotionStreamExtractTracks",
            "inputs": {**EXTRACTION, "rows": 6, "columns": 6, "video": ["video", 0]},
        },
    }
    for output, name in names.items():
        prompt[name] = {"class_type": "PreviewAny", "inputs": {"source": ["tracks", output]}}
    told = {name: "".join(host.run(prompt)[name]["text"]) for name in names.values()}
    return told["report"], [int(told[name]) for name in ("width", "height", "length")]


def test_oblong_pixels_turns_and_mirrors(host: ComfyHost) -> None:
    frames = list(sliding((1, 1), num_frames=5, side=64))
    write_video(host.input / "oblong.mp4", frames, pixel_aspect=Fraction(2))
    report, size = extract(host, "oblong.mp4")
    assert size == [128, 64, 5]
    assert "pixels 2 times as wide as high" in report and "shown with 128 x 64 px" in report
    set_matrix(write_video(host.input / "turned.mp4", [each[:48] for each in frames]), 0, 1, 1, 0)
    report, size = extract(host, "turned.mp4")
    assert size == [48, 64, 5]
    assert "turned by 270 degrees, mirrored" in report


def test_uneven_times_and_broken_files(host: ComfyHost) -> None:
    frames = sliding((1, 1), num_frames=7, side=64)
    kept = [0, 1, 2, 3, 5, 6]
    write_video(host.input / "uneven.mp4", list(frames[kept]), fps=20, times=[30 * each for each in kept])
    report, size = extract(host, "uneven.mp4")
    assert size == [64, 64, 7] and "uneven times" in report
    whole = write_video(host.input / "fast.mp4", list(frames), faststart=True).read_bytes()
    (host.input / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    loaded = {"class_type": "MotionStreamReferenceVideo", "inputs": {"file": "cut.mp4"}}
    tracks = {
        "class_type": "MotionStreamExtractTracks",
        "inputs": {**EXTRACTION, "rows": 2, "columns": 2, "video": ["v", 0]},
    }
    shown = {"class_type": "PreviewAny", "inputs": {"source": ["t", 5]}}
    assert "cut.mp4 is cut off: its index names" in host.error({"v": loaded, "t": tracks, "p": shown})


def test_a_fast_video_is_followed_at_its_own_speed(
    host: ComfyHost, example: dict[str, Any], checkpoints: dict[str, str]
) -> None:
    """The bundled reference, filmed at 48 frames a second: the same places at the same times as at 16."""
    if not checkpoints["student"].startswith("bundled/"):
        pytest.skip("only the bundled weights can be judged, and they are not there")
    write_video(host.input / "fast48.mp4", list(reference_clip(145).frames[:97]), fps=48)
    streamer = inputs_of(example, "MotionStreamStudentStreamer")
    shared = {name: streamer[name] for name in ("model", "vae", "image", "prompt", "width", "height", "fit", "seed")}
    tracking = {"tracker": "opencv", "rows": 32, "columns": 32, "lay": "fit", "delay_chunks": 1, "checkpoint": "auto"}
    save, student = key_of(example, "SaveVideo"), key_of(example, "MotionStreamStudentStreamer")
    kept = {key: node for key, node in example.items() if not node["class_type"].startswith(("Preview",))}
    del kept[student]
    kept["v"] = {"class_type": "MotionStreamReferenceVideo", "inputs": {"file": "fast48.mp4"}}
    kept["f"] = {
        "class_type": "MotionStreamFollowVideo",
        "inputs": {**shared, **tracking, "length": 37, "video": ["v", 0]},
    }
    kept[save]["inputs"]["video"] = ["f", 3]
    frames = video_frames(saved_video(host, host.run(kept)))
    centers, _ = locate(frames, drawn_example(2).scene)
    wanted = reference_clip().centers[np.maximum(np.arange(37) - 12, 0)] / 2
    error = np.linalg.norm(centers - wanted, axis=-1).mean(0)
    slow = reference_clip().centers[np.maximum(np.arange(37) - 12, 0) // 3] / 2
    lag = np.linalg.norm(slow - wanted, axis=-1).mean(0)
    print(f"followed at 48 a second: {error.round(1)} px off; at a third of the speed {lag.round(1)}")
    assert error.mean() < 5


def test_our_file_has_the_tags_and_colours_of_cores(host: ComfyHost, example: dict[str, Any]) -> None:
    inputs_of(example, "MotionStreamStudentStreamer").update(length=13, save_as="motionstream/own")
    inputs_of(example, "MotionStreamTracksFromJSON")["length"] = 13
    outputs = host.run(example)
    files = [file for output in outputs.values() for file in output.get("images", []) if file["type"] == "output"]
    paths = [host.output / file["subfolder"] / file["filename"] for file in files]
    own = next(path for path in paths if path.name.startswith("own"))
    core = next(path for path in paths if path != own)
    assert tags(own) == tags(core) == TAGS
    difference = video_frames(own).astype(float) - video_frames(core)
    assert np.abs(difference.mean((0, 1, 2))).max() < 1
    assert _profile(own) == ("yuv420p", Fraction(16))


def _profile(path: Path) -> tuple[str | None, Fraction | None]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.codec_context.pix_fmt, stream.average_rate
