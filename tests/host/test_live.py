"""The live node in the real front end, in both of its forms, and by the API alone.

The first half needs node, `npm ci` and a Chromium beside COMFYUI_PATH; it skips and says so where they are missing.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.host.comfy_host import ROOT, ComfyHost, browse, with_checkpoints
from tests.host.test_nodes_in_host import inputs_of, key_of, saved_video, video_frames

pytestmark = pytest.mark.host
KEPT = 480  # frames that the node hands on of however many there were: `keep_frames`

SESSION = Path(__file__).with_name("live_in_browser.js")
LEFT_OF_THE_WAY = 0.15  # a shape that stayed would have all of the way before it
CHUNKS_LATE = 2
FRAMES_PER_CHUNK, PIECES_PER_CHUNK = 4, 1


@pytest.fixture(scope="module", params=["classic", "vue"])
def session(
    request: pytest.FixtureRequest,
    host: ComfyHost,
    checkpoints: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What a browser saw and did, with nodes drawn either way; see live_in_browser.js."""
    folder = tmp_path_factory.mktemp(f"live_{request.param}")
    text = (ROOT / "workflows" / "Drag while the video runs (live).json").read_text("utf-8")
    for name, file in checkpoints.items():
        text = text.replace(f'"bundled/{name}"', json.dumps(file))
    (folder / "workflow.json").write_text(text, "utf-8")
    return {"mode": request.param, **browse(SESSION, host, folder / "workflow.json", folder, request.param)}


def test_the_page_has_no_errors(session: dict[str, Any]) -> None:
    assert session["problems"] == []


def test_the_stage_shifts_no_values_and_keeps_its_size(session: dict[str, Any]) -> None:
    """The node's own widget is never serialised, and the page's preview of the file does not push it aside."""
    assert session["widgets"][1:] == [
        0,
        0,
        49,
        "crop",
        0,
        "fixed",
        "by hand",
        False,
        600,
        1,
        2,
        KEPT,
        "",
        "motionstream/live",
        0,
        True,
        True,
    ]
    assert session["size"] == session["size_at_end"]
    assert session["size"][0] == 760 and session["size"][1] >= 1000  # taller where its rows need more
    assert min(session["picture_at_end"]) > 200


def test_enter_starts_it_with_no_click_before(session: dict[str, Any]) -> None:
    """The button that queued the workflow would have queued it again."""
    assert session["ready"].startswith("Enter starts")
    assert len(session["prompts"]) == 2


def test_the_object_goes_where_the_hand_went(session: dict[str, Any], checkpoints: dict[str, str]) -> None:
    """In the pictures that came, within two chunks and their making after the hand."""
    if not checkpoints["student"].startswith("bundled"):
        pytest.skip("random weights move nothing")
    drag = session["drag"]
    hand = np.array([[t, *held[0][:2]] for t, held in drag["hands"] if held])
    way = hand[-1, 1:] - hand[0, 1:]
    assert np.linalg.norm(way) == pytest.approx(25.3, abs=1)
    arrived = hand[np.linalg.norm(hand[:, 1:] - hand[-1, 1:], axis=1) < 0.3][0, 0]
    shown = [picture for picture in drag["pictures"] if picture["pink"]]
    times = np.array([picture["t"] for picture in shown])
    places, areas = np.array([picture["pink"][:2] for picture in shown]), [picture["pink"][2] for picture in shown]
    made_ms = max(made for _, made, _, _ in drag["chunks"])
    lasts_ms = PIECES_PER_CHUNK * max(lasts for _, _, lasts, _ in drag["chunks"])
    limit = arrived + CHUNKS_LATE * lasts_ms + made_ms
    left = np.linalg.norm(places - places[0] - way, axis=1) / np.linalg.norm(way)
    there = times[left < LEFT_OF_THE_WAY]
    words = f"left of the way {np.round(left, 2).tolist()} at {np.round(times - arrived).tolist()} ms after the hand"
    assert len(there), words
    assert there[0] < limit, f"limit {limit - arrived:.0f} ms; {words}"
    assert np.median(left[-4:]) < LEFT_OF_THE_WAY, words
    assert 0.7 * areas[0] < np.median(areas[-4:]) < 1.3 * areas[0], "it is no longer what it was"
    assert session["delays"], "no delay from drag to picture was measured"


def test_it_pauses_goes_back_and_anchors_anew(session: dict[str, Any]) -> None:
    assert session["paused"][0] == session["paused"][1]
    before, after = session["back"]
    assert 16 <= before - after < 16 + FRAMES_PER_CHUNK
    assert session["after_anchor"] == "Drag what you see"


def test_a_webcam_takes_along_what_is_grabbed(session: dict[str, Any]) -> None:
    """A thing sways before it by 20 px to either side, of 160; the grid and the pink square do, too, by as much."""
    wide = 2 * 20 * 128 / 120  # the view covers the frame
    hands = [held[0][0] for _, held in session["webcam"]["hands"] if held]
    pinks = [picture["pink"][0] for picture in session["webcam"]["pictures"] if picture["pink"]]
    assert max(hands) - min(hands) == pytest.approx(wide, rel=0.15)
    assert max(pinks) - min(pinks) == pytest.approx(wide, rel=0.25)
    assert not session["webcam_is_on"]


def test_a_second_job_is_told_of_and_gets_the_stage(session: dict[str, Any]) -> None:
    assert session["queued"].startswith("1 more in the queue")
    assert session["next"].startswith("Enter starts")


def test_two_fingers_are_two_hands_in_full_screen(session: dict[str, Any]) -> None:
    assert (session["fingers"], session["held_after_touch"]) == (2, 0)
    assert session["left_full_screen"]


def test_the_picture_goes_along_with_the_node(session: dict[str, Any]) -> None:
    (width, height), (wider, higher) = session["surfaces"]
    assert wider > width + 200
    assert higher > height
    assert height > 200


def test_a_dropped_picture_is_the_next_runs(session: dict[str, Any]) -> None:
    """It goes into the loader, says so, and no Load Image node is made of it, as the page around would."""
    assert session["dropped"]["loader"].startswith("dropped")
    assert session["dropped"]["nodes"] == 0


def test_the_graphs_undo_and_a_reload_bring_the_stage_back(session: dict[str, Any]) -> None:
    assert session["after_undo"] == {"loader": "bundled/three_shapes", "steering": True}
    assert session["after_reload"][0]


def test_its_file_plays_and_its_frames_go_on(session: dict[str, Any], host: ComfyHost) -> None:
    num_frames, reason = session["ended"]
    assert reason == "stopped"
    assert session["links"] == ["Video", "Tracks", "Drawing", "Log"]
    assert session["video"][:2] == [200, "video/mp4"]
    assert session["start_at_end"], "a stream of the queue cannot be begun again on the stage"
    entry = host.wait(session["prompts"][0])
    assert entry["status"]["status_str"] == "success", host.error_of(entry)
    files = [file for output in entry["outputs"].values() for file in output.get("images", [])]
    paths = {file["filename"]: host.output / file["subfolder"] / file["filename"] for file in files}
    (live,) = (path for name, path in paths.items() if name.startswith("live"))
    (after,) = (path for name, path in paths.items() if name.startswith("after_live"))
    assert video_frames(live).shape == (num_frames, 128, 128, 3)
    assert video_frames(after).shape == (min(num_frames, KEPT), 128, 128, 3)
    assert live.stat().st_size == session["video"][2]


# By the API alone.


@pytest.fixture
def prompt(checkpoints: dict[str, str]) -> dict[str, Any]:
    """The example, to be changed at will."""
    prompt = json.loads((ROOT / "workflows" / "api" / "live.json").read_text("utf-8"))
    return with_checkpoints(prompt, checkpoints)


def test_tracks_alone_run_to_their_length_and_the_log_makes_the_same_again(
    host: ComfyHost, prompt: dict[str, Any], example: dict[str, Any]
) -> None:
    prompt["tracks"] = example[key_of(example, "MotionStreamTracksFromJSON")]
    prompt["tracks"]["inputs"]["length"] = 41
    prompt["log"] = {"class_type": "PreviewAny", "inputs": {"source": [key_of(prompt, "MotionStreamLive"), 4]}}
    live = inputs_of(prompt, "MotionStreamLive")
    live.update(motion=["tracks", 0], length=41, endless=False, start="at once", seed=7, save_as="api/once")
    outputs = host.run(prompt)
    first = video_frames(saved_video(host, outputs))
    assert first.shape == (41, 128, 128, 3)
    log = Path(outputs["log"]["text"][0])
    assert log.parent == host.output / "api"
    live.update(log=log.relative_to(host.output).as_posix(), start="by hand", length=0, seed=1, prompt="")
    del prompt["tracks"], live["motion"]  # they are in the log
    again = video_frames(saved_video(host, host.run(prompt)))
    assert again.shape == first.shape
    assert (again == first).all()
    prompt["other"] = prompt[key_of(prompt, "MotionStreamLoadTinyVAE")]  # a second one, of the same weights
    live["decoder"] = ["other", 0]
    assert (video_frames(saved_video(host, host.run(prompt))) == first).all()


def test_an_interrupt_keeps_what_was_made(host: ComfyHost, prompt: dict[str, Any]) -> None:
    live = inputs_of(prompt, "MotionStreamLive")
    live.update(start="at once", seed=11, save_as="motionstream/interrupted")
    prompt_id = host.queue(prompt)
    folder = host.output / "motionstream"
    deadline = time.monotonic() + 60
    while not list(folder.glob("interrupted*.live/video.h264")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(3)
    asked = time.monotonic()
    host.post("/interrupt", {})
    entry = host.wait(prompt_id, limit_s=60)
    took_s = time.monotonic() - asked
    assert "execution_interrupted" in [kind for kind, _ in entry["status"]["messages"]]
    assert took_s < 3, f"{took_s:.1f} s"
    (video,) = folder.glob("interrupted*.mp4")
    assert not list(folder.glob("interrupted*.live"))
    frames = video_frames(video)
    assert len(frames) >= 1 + FRAMES_PER_CHUNK
    assert (len(frames) - 1) % FRAMES_PER_CHUNK == 0
    live.update(length=9, endless=False, seed=12, save_as="motionstream/next")
    assert len(video_frames(saved_video(host, host.run(prompt)))) == 9


def test_a_job_that_nobody_can_start_says_so_and_for_how_long(host: ComfyHost, prompt: dict[str, Any]) -> None:
    inputs_of(prompt, "MotionStreamLive").update(wait_seconds=2)
    position = len(host.log())
    assert re.search("nobody (began within|watched for) 2 s", host.error(prompt))
    log = host.log()[position:]
    assert "the live stream waits for a start, for 2 s" in log
    assert "names no client_id" in log


def test_a_script_steers_what_it_queued(host: ComfyHost, prompt: dict[str, Any], tmp_path: Path) -> None:
    """The id comes to the client that queued the job, and to no other."""
    inputs_of(prompt, "MotionStreamLive").update(save_as="api/steered")
    (tmp_path / "prompt.json").write_text(json.dumps(prompt), "utf-8")
    script = Path(__file__).with_name("steer_live.py")
    done = subprocess.run(
        [host.python, str(script), str(host.port), str(tmp_path / "prompt.json")], capture_output=True, timeout=200
    )
    assert done.returncode == 0, done.stderr.decode()
    seen = json.loads(done.stdout)
    assert (seen["hello"]["width"], seen["hello"]["state"], seen["hello"]["steering"]) == (128, "ready", True)
    assert set(seen["answers"]) == {3}
    assert seen["finished"] == "execution_success"
    assert seen["others"] == []
    assert seen["ended"]["files"]["video"].startswith("/view?")
    (video,) = (host.output / "api").glob("steered*.mp4")
    assert len(video_frames(video)) >= seen["num_frames"] > FRAMES_PER_CHUNK
