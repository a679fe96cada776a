"""The pack inside a real ComfyUI: loads quickly, explains itself, runs without a browser, chains with core."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.host.comfy_host import ROOT, ComfyHost, RefusedError, with_checkpoints

pytestmark = pytest.mark.host

NODES = {
    "MotionStreamLoadModel",
    "MotionStreamLoadTinyVAE",
    "MotionStreamLoadLora",
    "MotionStreamPicture",
    "MotionStreamReferenceVideo",
    "MotionStreamTrackEditor",
    "MotionStreamTracksFromJSON",
    "MotionStreamPointGrid",
    "MotionStreamTracksFromMask",
    "MotionStreamMergeTracks",
    "MotionStreamTransformTracks",
    "MotionStreamRetimeTracks",
    "MotionStreamSmoothTracks",
    "MotionStreamFilterTracks",
    "MotionStreamRescaleTracks",
    "MotionStreamTracksToJSON",
    "MotionStreamTracksToATI",
    "MotionStreamSaveTracks",
    "MotionStreamLoadTracks",
    "MotionStreamPreviewTracks",
    "MotionStreamExtractTracks",
    "MotionStreamTransferTracks",
    "MotionStreamCameraMove",
    "MotionStreamCameraFromJSON",
    "MotionStreamCameraTracks",
    "MotionStreamTrackHead",
    "MotionStreamDrawTracks",
    "MotionStreamStudentStreamer",
    "MotionStreamLoadStream",
    "MotionStreamFollowVideo",
    "MotionStreamLive",
    "MotionStreamTeacherSampler",
    "MotionStreamTextEncode",
    "MotionStreamApplyMotion",
    "MotionStreamJointGuider",
    "MotionStreamSigmas",
    "MotionStreamDecode",
    "MotionStreamManifestRow",
    "MotionStreamSaveJob",
}
CATEGORIES = {"batch", "tracks", "camera", "sampling", "stream", "loaders"}


def key_of(prompt: dict[str, Any], kind: str) -> str:
    return next(key for key, node in prompt.items() if node["class_type"] == kind)


def inputs_of(prompt: dict[str, Any], kind: str) -> dict[str, Any]:
    return prompt[key_of(prompt, kind)]["inputs"]


def saved_video(host: ComfyHost, outputs: dict[str, Any]) -> Path:
    files = [file for output in outputs.values() for file in output.get("images", [])]
    assert [file["type"] for file in files] == ["output"]
    return host.output / files[0]["subfolder"] / files[0]["filename"]


def video_frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def shortened(prompt: dict[str, Any], length: int) -> dict[str, Any]:
    inputs_of(prompt, "MotionStreamTracksFromJSON")["length"] = length
    inputs_of(prompt, "MotionStreamStudentStreamer")["length"] = length
    return prompt


def test_the_pack_loads_in_less_than_a_third_of_a_second(host: ComfyHost) -> None:
    log = host.log()
    assert "IMPORT FAILED" not in log
    link = next(entry for entry in (host.checkout / "custom_nodes").iterdir() if entry.resolve() == ROOT.resolve())
    seconds = re.search(rf"([\d.]+) seconds: \S*{re.escape(link.name)}$", log, re.MULTILINE)
    assert seconds is not None, log
    assert float(seconds[1]) < 0.3


def test_every_node_and_socket_explains_itself(host: ComfyHost, node_info: dict[str, Any]) -> None:
    mine = {name: info for name, info in node_info.items() if name.startswith("MotionStream")}
    assert set(mine) == NODES
    for name, info in mine.items():
        kind, _, subject = info["category"].partition("/")
        assert (kind, subject in CATEGORIES) == ("MotionStream", True)
        assert info["display_name"] != name
        assert len(info["description"]) > 30
        for group in (info["input"].get(each, {}) for each in ("required", "optional")):
            for socket, (_, details) in group.items():
                assert len(details.get("tooltip", "")) > 10, f"{name}.{socket} has no tooltip"
        assert len(info["output_tooltips"]) == len(info["output"])
        assert all(len(tooltip or "") > 10 for tooltip in info["output_tooltips"]), name
        if "search_aliases" in info and not info["deprecated"]:
            assert info["search_aliases"], name


def save_frames(prompt: dict[str, Any], frames: list[Any], fps: list[Any] | float) -> None:
    """Make the frames the video that the prompt saves."""
    prompt["made"] = {"class_type": "CreateVideo", "inputs": {"images": frames, "fps": fps}}
    inputs_of(prompt, "SaveVideo")["video"] = ["made", 0]


def test_frames_and_video_are_the_same(host: ComfyHost, example: dict[str, Any]) -> None:
    """The streamer's VIDEO is what core's CreateVideo makes of its frames and fps."""
    shortened(example, 13)
    streamer = key_of(example, "MotionStreamStudentStreamer")
    own = video_frames(saved_video(host, host.run(example)))
    save_frames(example, [streamer, 0], [streamer, 3])
    assert (video_frames(saved_video(host, host.run(example))) == own).all()


def test_the_example_runs_without_a_browser(host: ComfyHost, example: dict[str, Any]) -> None:
    outputs = host.run(example)
    assert video_frames(saved_video(host, outputs)).shape == (49, 128, 128, 3)
    report = "".join(outputs[key_of(example, "PreviewAny")]["text"])
    for words in ("first generated frame after", "frames per second", "s per chunk", "peak memory"):
        assert words in report


def test_the_teacher_and_decode_run(host: ComfyHost, example: dict[str, Any], checkpoints: dict[str, str]) -> None:
    shortened(example, 13)
    inputs_of(example, "MotionStreamLoadModel")["checkpoint"] = checkpoints["teacher"]
    inputs_of(example, "MotionStreamLoadTinyVAE")["checkpoint"] = checkpoints["tiny_vae"]
    key = key_of(example, "MotionStreamStudentStreamer")
    student = example.pop(key)["inputs"]
    shared = {name: student[name] for name in ("model", "vae", "image", "prompt", "motion", "seed", "fit")}
    sizes = {name: student[name] for name in ("width", "height", "length")}
    knobs = {"steps": 2, "sampler": "euler", "text_weight": 1.5, "motion_weight": 1.5}
    example["t"] = {"class_type": "MotionStreamTeacherSampler", "inputs": {**shared, **sizes, **knobs}}
    example["d"] = {"class_type": "MotionStreamDecode", "inputs": {"vae": student["vae"], "samples": ["t", 0]}}
    save_frames(example, ["d", 0], ["t", 1])
    del example[key_of(example, "PreviewAny")]
    frames = video_frames(saved_video(host, host.run(example)))
    assert frames.shape == (13, 128, 128, 3)
    inputs_of(example, "MotionStreamTeacherSampler")["decode"] = False
    save = {"video": ["t", 3], "filename_prefix": "own", "format": "auto", "codec": "auto"}
    example["own"] = {"class_type": "SaveVideo", "inputs": save}
    outputs = host.run(example)
    assert "own" not in outputs  # it is told why, and does not run
    assert (video_frames(saved_video(host, outputs)) == frames).all()


def test_a_stream_that_was_saved_goes_on_as_if_never_cut(host: ComfyHost, example: dict[str, Any]) -> None:
    """25 frames at once, and 13 that are saved, loaded by the name in the report, and gone on from."""
    streamer, report = inputs_of(example, "MotionStreamStudentStreamer"), key_of(example, "PreviewAny")
    del streamer["motion"]
    streamer |= {"length": 25, "seed": 11}
    whole = video_frames(saved_video(host, host.run(example)))
    streamer |= {"length": 13, "save_stream": "cut/here"}
    (name,) = re.findall("^saved stream: (.*)$", host.run(example)[report]["text"][0], re.M)
    (file,) = host.get("/object_info/MotionStreamLoadStream").values()
    assert name in file["input"]["required"]["file"][1]["options"]
    del streamer["image"], streamer["save_stream"]
    example["cut"] = {"class_type": "MotionStreamLoadStream", "inputs": {"file": name}}
    streamer |= {"length": 12, "go_on_from": ["cut", 0]}
    rest = video_frames(saved_video(host, host.run(example)))
    assert rest.shape == (12, 128, 128, 3)
    assert np.abs(rest.astype(int) - whole[13:]).mean() < 2  # what the video codec makes of the same frames


def test_a_workflow_with_the_track_head_gives_the_same_frames(
    host: ComfyHost, example: dict[str, Any], checkpoints: dict[str, str]
) -> None:
    """As it was saved before tracks went straight into the sampler."""
    older = json.loads((ROOT / "tests" / "data" / "workflow_with_track_head_api.json").read_text("utf-8"))
    older = with_checkpoints(older, checkpoints)
    shutil.copy(ROOT / "js" / "picker" / "bundled" / "three_shapes.png", host.input / "motionstream_example.png")
    for kind in ("MotionStreamLoadModel", "MotionStreamLoadTinyVAE"):
        inputs_of(example, kind).update(inputs_of(older, kind))  # the bundled names of then
    words = inputs_of(older, "MotionStreamStudentStreamer")["prompt"]
    inputs_of(example, "MotionStreamStudentStreamer")["prompt"] = words
    frames = []
    for prompt in (older, example):
        shortened(prompt, 13)
        frames.append(video_frames(saved_video(host, host.run(prompt))))
    assert (frames[0] == frames[1]).all()


def test_tracks_chain_with_core(host: ComfyHost, example: dict[str, Any], node_info: dict[str, Any]) -> None:
    if "WanMoveConcatTrack" not in node_info:
        pytest.skip("this ComfyUI is older than the WanMove nodes")
    shortened(example, 13)
    mine, image = [key_of(example, "MotionStreamTracksFromJSON"), 0], [key_of(example, "MotionStreamPicture"), 0]
    example["p"] = {
        "class_type": "MotionStreamPointGrid",
        "inputs": {"rows": 3, "columns": 4, "width": 128, "height": 128, "length": 13},
    }
    example["c"] = {"class_type": "WanMoveConcatTrack", "inputs": {"tracks_1": mine, "tracks_2": ["p", 0]}}
    example["w"] = {"class_type": "WanMoveTracksFromCoords", "inputs": {"track_coords": [mine[0], 1]}}
    example["c2"] = {"class_type": "WanMoveConcatTrack", "inputs": {"tracks_1": ["c", 0], "tracks_2": ["w", 0]}}
    inputs_of(example, "MotionStreamStudentStreamer")["motion"] = ["c2", 0]
    knobs = {"line_resolution": 8, "circle_size": 3, "opacity": 0.75, "line_width": 2}
    example["v"] = {"class_type": "WanMoveVisualizeTracks", "inputs": {"images": image, "tracks": ["c2", 0], **knobs}}
    example["o"] = {
        "class_type": "MotionStreamDrawTracks",
        "inputs": {"images": ["v", 0], "tracks": ["c2", 0], "tail_frames": 4, "radius": 0.0}
        | {"track_width": 0, "track_height": 0},
    }
    save_frames(example, ["o", 0], 16.0)
    drawn = video_frames(saved_video(host, host.run(example)))
    save_frames(example, [key_of(example, "MotionStreamStudentStreamer"), 0], 16.0)
    streamed = video_frames(saved_video(host, host.run(example)))
    assert drawn.shape == streamed.shape == (13, 128, 128, 3)


def test_files_in_the_hosts_folders_are_offered(node_info: dict[str, Any]) -> None:
    def options(kind: str) -> list[str]:
        return node_info[kind]["input"]["required"]["checkpoint"][1]["options"]

    assert options("MotionStreamLoadModel")[:3] == [
        "bundled/photo_student",
        "bundled/student",
        "bundled/teacher",
    ]
    assert "stand_in_student.safetensors" in options("MotionStreamLoadModel")
    assert options("MotionStreamLoadTinyVAE")[:2] == ["bundled/photo_tiny_vae", "bundled/tiny_vae"]
    assert "stand_in_tiny_vae.safetensors" in options("MotionStreamLoadTinyVAE")


def test_malformed_tracks_name_the_place(host: ComfyHost, example: dict[str, Any]) -> None:
    inputs_of(example, "MotionStreamTracksFromJSON")["coordinates"] = '[[{"x":1,"y":2},{"x":"left","y":2}]]'
    message = host.error(example)
    assert "coordinates: track 0, sample 1: field 'x' is 'left'" in message


def test_a_length_goes_to_the_nearest_that_is_made(host: ComfyHost, example: dict[str, Any]) -> None:
    inputs_of(example, "MotionStreamStudentStreamer")["length"] = 50
    assert len(video_frames(saved_video(host, host.run(example)))) == 49


def test_an_unknown_word_is_named(host: ComfyHost, example: dict[str, Any]) -> None:
    inputs_of(example, "MotionStreamStudentStreamer")["prompt"] = "a photorealistic cat"
    assert "unknown words a, cat, photorealistic; this small model knows still" in host.error(example)


def test_a_batch_of_images_is_refused(host: ComfyHost, example: dict[str, Any]) -> None:
    image = [key_of(example, "MotionStreamPicture"), 0]
    example["b"] = {"class_type": "RepeatImageBatch", "inputs": {"image": image, "amount": 2}}
    inputs_of(example, "MotionStreamStudentStreamer")["image"] = ["b", 0]
    assert "image holds 2 pictures" in host.error(example)


def test_a_missing_file_says_where_it_belongs(host: ComfyHost, example: dict[str, Any]) -> None:
    inputs_of(example, "MotionStreamLoadModel")["checkpoint"] = "wan14b.safetensors"
    with pytest.raises(RefusedError) as caught:
        host.queue(example)
    assert "'wan14b.safetensors' is not in models/motionstream" in caught.value.details()


def test_too_long_a_video_names_what_to_lower(host: ComfyHost, example: dict[str, Any]) -> None:
    """More frames than any memory holds; the next run finds everything in order."""
    streamer = inputs_of(example, "MotionStreamStudentStreamer")
    del streamer["motion"]
    streamer.update(length=1 + 12 * 80_000, width=4096, height=4096)
    assert "out of memory; lower length, or width and height" in host.error(example)
    streamer.update(length=13, width=0, height=0)
    assert len(video_frames(saved_video(host, host.run(example)))) == 13


def test_a_browser_sees_progress_and_previews(host: ComfyHost, example: dict[str, Any], tmp_path: Path) -> None:
    """Previews are few and small, and the last one shows the end of the video."""
    shortened(example, 25)
    inputs_of(example, "MotionStreamStudentStreamer")["seed"] = 77
    (tmp_path / "prompt.json").write_text(json.dumps(example), "utf-8")
    watcher = Path(__file__).with_name("watch_prompt.py")
    done = subprocess.run(
        [host.python, str(watcher), str(host.port), str(tmp_path / "prompt.json")], capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()
    seen = json.loads(done.stdout)
    assert seen["ended"] == "execution_success"
    assert seen["max"] == 6
    assert seen["values"] == sorted(seen["values"])
    assert seen["values"][-1] == 6
    assert 1 <= len(seen["previews"]) <= 10
    assert all(size == [128, 128] for size in seen["previews"]), seen["previews"]
