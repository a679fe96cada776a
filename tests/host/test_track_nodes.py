"""The track nodes in a real ComfyUI, through API JSON alone, in one chain with core's nodes and with KJNodes' own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from motionstream_core.tracks import Placement, Span, Tracks, at_rest, retime, transform
from tests.host.comfy_host import ComfyHost, RefusedError

pytestmark = pytest.mark.host

LENGTH, SIDE = 13, 128
Prompt = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def _wanmove(node_info: dict[str, Any]) -> None:
    if "WanMoveConcatTrack" not in node_info:
        pytest.skip("this ComfyUI is older than the WanMove nodes")


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def with_defaults(node_info: dict[str, Any], prompt: Prompt) -> Prompt:
    """The inputs that are not given, at their defaults, as a script that copies a node from the browser has them."""
    for each in prompt.values():
        if each["class_type"].startswith("MotionStream"):
            for name, (kind, details) in node_info[each["class_type"]]["input"]["required"].items():
                if name not in each["inputs"] and "default" in details:
                    each["inputs"][name] = details["default"]
                assert name in each["inputs"], (each["class_type"], name, kind)
    return prompt


@pytest.fixture
def chain(node_info: dict[str, Any]) -> Prompt:
    """A square of points that turns, a drawn point played backwards, core's own tracks and a grid, as one."""
    drawn = json.dumps([[{"x": 10, "y": 100}, {"x": 106, "y": 100}]])
    return with_defaults(
        node_info,
        {
            "black": node("SolidMask", value=0.0, width=SIDE, height=SIDE),
            "white": node("SolidMask", value=1.0, width=32, height=32),
            "mask": node("MaskComposite", destination=["black", 0], source=["white", 0], x=48, y=48, operation="add"),
            "square": node("MotionStreamTracksFromMask", mask=["mask", 0], spacing=16.0, length=LENGTH),
            "turned": node("MotionStreamTransformTracks", tracks=["square", 0], rotation=90.0, easing="linear"),
            "drawn": node("MotionStreamTracksFromJSON", coordinates=drawn, width=SIDE, height=SIDE, length=LENGTH),
            "back": node("MotionStreamRetimeTracks", tracks=["drawn", 0], reverse=True, rest_after=4, length=LENGTH),
            "smooth": node("MotionStreamSmoothTracks", tracks=["back", 0], radius=2),
            "both": node("WanMoveConcatTrack", tracks_1=["turned", 0], tracks_2=["smooth", 0]),
            "every_frame": node("RepeatImageBatch", image=["as_image", 0], amount=LENGTH),
            "as_image": node("MaskToImage", mask=["mask", 0]),
            "seen": node("ImageToMask", image=["every_frame", 0], channel="red"),
            "core": node(
                "GenerateTracks",
                width=SIDE,
                height=SIDE,
                start_x=0.0,
                start_y=0.5,
                end_x=0.75,
                end_y=0.5,
                num_frames=LENGTH,
                num_tracks=2,
                track_spread=0.25,
                bezier=False,
                mid_x=0.5,
                mid_y=0.5,
                interpolation="linear",
                track_mask=["seen", 0],
            ),
            "grid": node("MotionStreamPointGrid", rows=2, columns=2, width=SIDE, height=SIDE, length=5),
            "merged": node(
                "MotionStreamMergeTracks",
                tracks_1=["both", 0],
                tracks_2=["core", 0],
                tracks_3=["grid", 0],
                lengths="stretch",
            ),
            "json": node("MotionStreamTracksToJSON", tracks=["merged", 0]),
            "text": node("PreviewAny", source=["json", 0]),
        },
    )


def expected() -> np.ndarray:
    """(t n 2) of the chain, worked out apart from the nodes: complex numbers for the turn, straight lines else."""
    frames = np.arange(LENGTH)
    square = np.array([56 + 56j, 72 + 56j, 56 + 72j, 72 + 72j])
    turn = np.exp(1j * np.pi / 2 * frames / (LENGTH - 1))[:, None]
    turned = (64 + 64j) + turn * (square - (64 + 64j))
    # Backwards over 9 frames, then at rest. Smoothing leaves a straight even path alone, but rounds its corner.
    back = np.interp(frames, [0, 8], [106, 10]) + 100j
    core = 96 * frames[:, None] / (LENGTH - 1) + 1j * np.array([48, 80])
    grid = np.tile(np.array([32 + 32j, 96 + 32j, 32 + 96j, 96 + 96j]), (LENGTH, 1))
    values = np.concatenate([turned, back[:, None], core, grid], axis=1)
    return np.stack([values.real, values.imag], axis=-1)


def points_of(outputs: dict[str, Any], key: str = "text") -> np.ndarray:
    lists = json.loads(outputs[key]["text"][0])
    return np.array([[[s["x"], s["y"]] for s in track] for track in lists]).swapaxes(0, 1)


def test_the_chain_gives_what_was_worked_out(host: ComfyHost, chain: Prompt) -> None:
    points = points_of(host.run(chain))
    assert points.shape == (LENGTH, 11, 2)
    away_from_the_corner = np.ones(LENGTH, dtype=bool)
    away_from_the_corner[7:10] = False
    assert np.abs(points - expected())[away_from_the_corner].max() < 1e-3
    assert 0.5 < np.abs(points - expected())[8, 4].max() < 8  # the corner, rounded


def test_core_draws_the_chain(host: ComfyHost, chain: Prompt) -> None:
    """A bright point where the chain ends, from WanMoveVisualizeTracks and from this pack's preview."""
    chain["picture"] = node("EmptyImage", width=SIDE, height=SIDE, batch_size=1, color=0)
    chain["core_view"] = node(
        "WanMoveVisualizeTracks",
        images=["picture", 0],
        tracks=["merged", 0],
        line_resolution=4,
        circle_size=2,
        opacity=1.0,
        line_width=1,
    )
    chain["video"] = node("CreateVideo", images=["core_view", 0], fps=8.0)
    chain["saved"] = node("SaveVideo", video=["video", 0], filename_prefix="core_view", format="auto", codec="auto")
    chain["own_view"] = node(
        "MotionStreamPreviewTracks",
        tracks=["merged", 0],
        video=["video", 0],
        tail_frames=4,
        fps=0.0,
        width=0,
        height=0,
        radius=3.0,
    )
    prompt_id = host.post("/prompt", {"prompt": chain, "client_id": "somebody"})["prompt_id"]
    entry = host.wait(prompt_id)
    assert entry["status"]["status_str"] == "success", host.error_of(entry)
    outputs = entry["outputs"]
    for key, folder in (("saved", host.output), ("own_view", host.folder / "temp" / "temp")):
        (file,) = outputs[key]["images"]
        frames = video_frames(folder / file["subfolder"] / file["filename"], host)
        assert frames.shape == (LENGTH, SIDE, SIDE, 3)
        for x, y in expected()[-1].round().astype(int):
            if 3 <= x < SIDE - 3 and 3 <= y < SIDE - 3:
                assert frames[-1, y - 2 : y + 3, x - 2 : x + 3].max() > 90, (key, x, y)
    assert outputs["own_view"]["animated"] == [True]


def video_frames(path: Path, host: ComfyHost) -> np.ndarray:
    if not path.is_file():  # where the temporary folder lies depends on the host's version
        path = next(host.folder.rglob(path.name))
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_filter_rescale_save_and_load(host: ComfyHost, chain: Prompt, node_info: dict[str, Any]) -> None:
    del chain["json"], chain["text"]
    chain |= with_defaults(
        node_info,
        {
            "inside": node("MotionStreamFilterTracks", tracks=["merged", 0], keep="in mask", mask=["mask", 0]),
            "large": node(
                "MotionStreamRescaleTracks",
                tracks=["inside", 0],
                from_width=SIDE,
                from_height=SIDE,
                width=2 * SIDE,
                height=SIDE,
                fit="stretch",
            ),
            "file": node(
                "MotionStreamSaveTracks",
                tracks=["large", 0],
                width=2 * SIDE,
                height=SIDE,
                name="chain/square",
                if_exists="overwrite",
            ),
            "name": node("PreviewAny", source=["file", 0]),
            "ati": node("MotionStreamTracksToATI", tracks=["inside", 1]),
            "ati_text": node("PreviewAny", source=["ati", 0]),
        },
    )
    outputs = host.run(chain)
    assert outputs["name"]["text"] == ["chain/square.npz [output]"]
    assert (host.output / "chain" / "square.npz").is_file()
    ati = points_of(outputs, "ati_text")
    assert ati.shape == (121, 7, 2)
    assert np.abs(ati[::10, 1:] - expected()[:, 5:]).max() < 1e-3
    loaded: Prompt = {
        "load": node("MotionStreamLoadTracks", file="chain/square.npz [output]", width=SIDE, height=0, length=0),
        "json": node("MotionStreamTracksToJSON", tracks=["load", 0]),
        "text": node("PreviewAny", source=["json", 0]),
        "width": node("PreviewAny", source=["load", 1]),
        "height": node("PreviewAny", source=["load", 2]),
        "length": node("PreviewAny", source=["load", 3]),
    }
    outputs = host.run(loaded)
    assert np.abs(points_of(outputs) - expected()[:, :4]).max() < 1e-3
    assert [outputs[key]["text"] for key in ("width", "height", "length")] == [["128"], ["128"], ["13"]]


def test_load_refuses_before_anything_runs(host: ComfyHost) -> None:
    prompt = {
        "load": node("MotionStreamLoadTracks", file="../../etc/passwd.json", width=0, height=0, length=0),
        "json": node("MotionStreamTracksToJSON", tracks=["load", 0]),
        "text": node("PreviewAny", source=["json", 0]),
    }
    with pytest.raises(RefusedError) as caught:
        host.queue(prompt)
    assert "its part '..'" in caught.value.details()


def test_a_seed_before_the_sampler_stays(node_info: dict[str, Any]) -> None:
    """Drawn anew with every run, it would make everything behind it run again."""
    for kind in ("MotionStreamFilterTracks", "MotionStreamTracksFromMask"):
        assert node_info[kind]["input"]["required"]["seed"][1]["control_after_generate"] == "fixed"


@pytest.fixture(scope="module")
def taken(host: ComfyHost, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """A payload of this pack, and what WanMoveTrackToVideo and GetTrackRange make of it in the host's Python."""
    start = at_rest(torch.tensor([[20.0, 20.0], [60.0, 44.0], [100.0, 84.0], [12.0, 92.0]]), LENGTH, SIDE, SIDE)
    moved = transform(start, Placement(shift_x_px=48.0), torch.zeros(2), Span(0, 12))
    seen = moved.visibility.clone()
    seen[8:, 1] = False
    tracks = Tracks(moved.points, seen, SIDE, SIDE).to_payload()
    folder = tmp_path_factory.mktemp("taken")
    torch.save(tracks, folder / "tracks.pt")
    script = Path(__file__).with_name("take_tracks.py")
    command = [host.python, str(script), str(folder / "tracks.pt"), str(SIDE), str(SIDE), str(folder / "results.pt")]
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(host.folder / "pycache")}
    done = subprocess.run(command, cwd=host.checkout, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return tracks, torch.load(folder / "results.pt", weights_only=True)


def test_core_conditions_on_the_tracks(taken: tuple[dict[str, torch.Tensor], dict[str, Any]]) -> None:
    """Every fourth frame's visible point brings the number of the cell where it started."""
    tracks, results = taken
    wanted = torch.zeros(4, SIDE // 8, SIDE // 8)
    wanted[0] = torch.arange(1, (SIDE // 8) ** 2 + 1).reshape(SIDE // 8, SIDE // 8)
    for latent_frame in range(1, 4):
        for n in range(4):
            x, y = tracks["track_path"][4 * latent_frame, n].tolist()
            if tracks["track_visibility"][4 * latent_frame, n] and x < SIDE:
                start_x, start_y = (tracks["track_path"][0, n] // 8).long().tolist()
                wanted[latent_frame, int(y // 8), int(x // 8)] = wanted[0, start_y, start_x]
    assert torch.equal(results["features"], wanted)
    assert (wanted[1:] > 0).sum() == 8


def test_kjnodes_cuts_a_range(taken: tuple[dict[str, torch.Tensor], dict[str, Any]]) -> None:
    if not os.environ.get("KJNODES_PATH"):
        pytest.skip("KJNODES_PATH is not set: name a checkout of kijai/ComfyUI-KJNodes")
    tracks, results = taken
    own = Tracks.from_payload(tracks, SIDE, SIDE)
    for (start, num_frames), theirs in zip(((2, 3), (-4, 10), (0, 100)), results["ranges"], strict=True):
        first = start % LENGTH
        stop = min(first + num_frames, LENGTH)
        back = Tracks.from_payload(theirs, SIDE, SIDE)
        assert torch.equal(back.points, own.points[first:stop])
        same = retime(own, stop - first, start=first, stop=stop)
        assert torch.equal(back.points, same.points)
        assert torch.equal(back.visibility, same.visibility)
