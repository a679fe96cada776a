"""Motion transfer in a real ComfyUI, posted as a script would: the new video's objects move as the reference's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.reference_clip import reference_clip
from motionstream_core.world.judge import locate
from tests.host.comfy_host import ROOT, ComfyHost, host_python, with_checkpoints

pytestmark = pytest.mark.host

# Mean distance of an object's middle from where the reference's is, px of 128. Held still they would be 16 to 26 off.
USUAL_ERROR_PX = 4.0


@pytest.fixture
def prompt(host: ComfyHost, checkpoints: dict[str, str]) -> dict[str, Any]:
    if subprocess.run([host_python(), "-c", "import cv2"], capture_output=True).returncode:
        pytest.skip("ComfyUI's Python has no OpenCV: pip install opencv-python-headless")
    prompt = json.loads((ROOT / "workflows" / "api" / "motion_transfer.json").read_text("utf-8"))
    return with_checkpoints(prompt, checkpoints)


def key_of(prompt: dict[str, Any], kind: str) -> str:
    return next(key for key, node in prompt.items() if node["class_type"] == kind)


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_objects_move_as_in_the_reference(
    host: ComfyHost, prompt: dict[str, Any], checkpoints: dict[str, str], tmp_path: Path
) -> None:
    outputs = host.run(prompt)
    saved = outputs[key_of(prompt, "SaveVideo")]["images"][0]
    frames = frames_of(host.output / saved["subfolder"] / saved["filename"])
    assert frames.shape == (49, 128, 128, 3)
    assert "1024 points over 49 frames of 256 x 256 px by OpenCV" in "".join(
        outputs[key_of(prompt, "PreviewAny")]["text"]
    )
    if not checkpoints["student"].startswith("bundled/"):
        pytest.skip("only the bundled weights can be judged, and they are not there")
    centers, found = locate(frames, drawn_example(2).scene)
    wanted = reference_clip().centers / 2  # the reference is 256 px wide, the video 128
    error = np.linalg.norm(centers - wanted, axis=-1).mean(0)
    held_still = np.linalg.norm(wanted[:1] - wanted, axis=-1).mean(0)
    print(f"motion_transfer: {error.round(1)} px from the reference's objects, {held_still.round(1)} if they rested")
    assert found.all()
    assert (held_still > 15).all() and (error < USUAL_ERROR_PX).all(), error


def test_an_image_batch_serves_as_the_reference(host: ComfyHost, prompt: dict[str, Any]) -> None:
    """IMAGE in place of VIDEO, from core's GetVideoComponents."""
    extract = prompt[key_of(prompt, "MotionStreamExtractTracks")]
    video = extract["inputs"].pop("video")
    prompt["g"] = {"class_type": "GetVideoComponents", "inputs": {"video": video}}
    extract["inputs"].update(images=["g", 0], rows=6, columns=6)
    extract_key = key_of(prompt, "MotionStreamExtractTracks")
    kept = {extract_key, "g", video[0]}
    short = {key: node for key, node in prompt.items() if key in kept}
    short["p"] = {"class_type": "PreviewAny", "inputs": {"source": [extract_key, 5]}}
    outputs = host.run(short)
    assert "36 points over 49 frames of 256 x 256 px" in "".join(outputs["p"]["text"])


def test_a_missing_cotracker_is_explained(host: ComfyHost, prompt: dict[str, Any]) -> None:
    prompt[key_of(prompt, "MotionStreamExtractTracks")]["inputs"]["tracker"] = "cotracker3 online"
    message = host.error(prompt)
    assert "scaled_online.pth" in message and "CC BY-NC 4.0" in message


def test_a_video_is_followed_while_it_is_read(
    host: ComfyHost, prompt: dict[str, Any], checkpoints: dict[str, str], node_info: dict[str, Any]
) -> None:
    """MotionStream Follow Video in the place of extraction, transfer and streamer: a chunk behind the reference."""
    streamer, key = prompt[key_of(prompt, "MotionStreamStudentStreamer")]["inputs"], key_of(prompt, "SaveVideo")
    shared = {name: streamer[name] for name in ("model", "vae", "image", "prompt", "width", "height", "fit", "seed")}
    tracking = {"tracker": "opencv", "rows": 32, "columns": 32, "lay": "fit", "delay_chunks": 1, "checkpoint": "auto"}
    sources = {
        "video": [key_of(prompt, "MotionStreamReferenceVideo"), 0],
        "mask": [key_of(prompt, "MotionStreamPicture"), 1],
    }
    for kind in ("ExtractTracks", "FilterTracks", "TransferTracks", "StudentStreamer"):
        del prompt[key_of(prompt, f"MotionStream{kind}")]
    del prompt[key_of(prompt, "PreviewAny")]
    prompt["f"] = {"class_type": "MotionStreamFollowVideo", "inputs": {**shared, **tracking, **sources, "length": 61}}
    prompt[key]["inputs"].update(video=["f", 3])
    saved = host.run(prompt)[key_of(prompt, "SaveVideo")]["images"][0]
    frames = frames_of(host.output / saved["subfolder"] / saved["filename"])
    assert frames.shape == (61, 128, 128, 3)
    if not checkpoints["student"].startswith("bundled/"):
        pytest.skip("only the bundled weights can be judged, and they are not there")
    centers, _ = locate(frames, drawn_example(2).scene)
    wanted = reference_clip().centers[np.maximum(np.arange(61) - 12, 0)] / 2
    error = np.linalg.norm(centers - wanted, axis=-1).mean(0)
    assert (error < USUAL_ERROR_PX).all(), error
