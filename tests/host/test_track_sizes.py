"""A drawing of one size into a video of another, in the real host and over its API: it follows, or it is an error."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from tests.host.comfy_host import ROOT, ComfyHost, with_checkpoints
from tests.host.test_nodes_in_host import inputs_of, key_of, saved_video, video_frames

pytestmark = pytest.mark.host

SIDE, WIDTH, HEIGHT, LENGTH = 128, 832, 480, 13
LEVELS = 1  # of 256: what the rounding of a coordinate may change in a mean over the video


@pytest.fixture
def prompt(checkpoints: dict[str, str]) -> dict[str, Any]:
    prompt = json.loads((ROOT / "workflows" / "api" / "track_editor.json").read_text("utf-8"))
    inputs_of(prompt, "MotionStreamTrackEditor")["length"] = LENGTH
    return with_checkpoints(prompt, checkpoints)


def drawn_large(prompt: dict[str, Any]) -> dict[str, Any]:
    """The same drawing over 832 x 480 px, of which the middle 480 x 480 are the picture."""
    prompt = copy.deepcopy(prompt)
    inputs = inputs_of(prompt, "MotionStreamTrackEditor")
    document, scale = json.loads(inputs["document"]), HEIGHT / SIDE
    document["canvas"] |= {"width": WIDTH, "height": HEIGHT}
    for track in document["tracks"]:
        track["points"] = [[WIDTH / 2 + (x - 64) * scale, HEIGHT / 2 + (y - 64) * scale] for x, y in track["points"]]
        if "grid" in track:
            track["grid"] |= {side: track["grid"][side] * scale for side in ("dx", "dy")}
    inputs |= {"document": json.dumps(document), "width": WIDTH, "height": HEIGHT}
    return prompt


def report_of(prompt: dict[str, Any], outputs: dict[str, Any]) -> str:
    return "".join(outputs[key_of(prompt, "PreviewAny")]["text"])


def test_a_large_drawing_moves_a_small_video_as_a_small_one_does(host: ComfyHost, prompt: dict[str, Any]) -> None:
    outputs = host.run(prompt)
    expected = video_frames(saved_video(host, outputs)).astype(int)
    assert "made for" not in report_of(prompt, outputs)
    large = drawn_large(prompt)
    outputs = host.run(large)
    frames = video_frames(saved_video(host, outputs)).astype(int)
    assert frames.shape == (LENGTH, SIDE, SIDE, 3)
    assert "motion: made for 832 x 480 px, brought to 128 x 128 px (crop)" in report_of(large, outputs)
    assert np.abs(frames - expected).mean() < LEVELS
    still = copy.deepcopy(prompt)
    inputs_of(still, "MotionStreamTrackEditor")["document"] = ""
    alone = video_frames(saved_video(host, host.run(still))).astype(int)
    assert np.abs(alone - expected).mean() > 2 * LEVELS  # the drawing does change the video


def test_the_editor_gives_its_size(host: ComfyHost, prompt: dict[str, Any]) -> None:
    large = drawn_large(prompt)
    editor, picture = (key_of(large, f"MotionStream{name}") for name in ("TrackEditor", "Picture"))
    posted = {key: large[key] for key in (editor, picture)}
    for name, slot in (("length", 2), ("width", 3), ("height", 4)):
        posted[name] = {"class_type": "PreviewAny", "inputs": {"source": [editor, slot]}}
    outputs = host.run(posted)
    assert [outputs[name]["text"][0] for name in ("length", "width", "height")] == ["13", "832", "480"]


def test_a_size_goes_through_transforms_and_is_lost_in_other_packs_nodes(
    host: ComfyHost, prompt: dict[str, Any], node_info: dict[str, Any]
) -> None:
    large = drawn_large(prompt)
    editor, streamer = key_of(large, "MotionStreamTrackEditor"), key_of(large, "MotionStreamStudentStreamer")
    large["smooth"] = {"class_type": "MotionStreamSmoothTracks", "inputs": {"tracks": [editor, 0], "radius": 1}}
    large[streamer]["inputs"]["motion"] = ["smooth", 0]
    assert "motion: made for 832 x 480 px" in report_of(large, host.run(large))
    if "WanMoveTracksFromCoords" not in node_info:
        pytest.skip("this host has no nodes of TRACKS")
    # core's own reader of the editor's JSON gives TRACKS that name no size
    coordinates = {"track_coords": [editor, 1]}
    large["core"] = {"class_type": "WanMoveTracksFromCoords", "inputs": coordinates}
    large[streamer]["inputs"]["motion"] = ["core", 0]
    words = host.error(large)
    assert "never lie inside the frame of 128 x 128 px" in words
    assert "bring them to this one with the node MotionStream Rescale Tracks" in words
    rescale = {"tracks": ["core", 0], "from_width": WIDTH, "from_height": HEIGHT, "width": SIDE, "height": SIDE}
    large["rescale"] = {"class_type": "MotionStreamRescaleTracks", "inputs": {**rescale, "fit": "crop"}}
    large[streamer]["inputs"]["motion"] = ["rescale", 0]
    assert "made for" not in report_of(large, host.run(large))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\ufeff[[[0.25, 0.5], [0.75, 0.5]]]", "units: normalised, assumed: 0..1 is the frame of 128 x 128 px"),
        ("[[[32, 64], [96, 64]]]", "1 point of 2 samples; units: px, assumed"),
    ],
)
def test_coordinates_say_how_they_were_read(host: ComfyHost, text: str, words: str) -> None:
    """Without the inputs that came later, as older scripts post it."""
    inputs = {"coordinates": text, "width": SIDE, "height": SIDE, "length": 3, "fit": "crop"}
    inputs |= {"source_width": 0, "source_height": 0}
    posted = {
        "read": {"class_type": "MotionStreamTracksFromJSON", "inputs": inputs},
        "shown": {"class_type": "PreviewAny", "inputs": {"source": ["read", 1]}},
    }
    outputs = host.run(posted)
    assert words in outputs["read"]["text"][0]
    (samples,) = json.loads(outputs["shown"]["text"][0])
    assert [(sample["x"], sample["y"]) for sample in samples] == [(32, 64), (64, 64), (96, 64)]
