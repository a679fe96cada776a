"""Runs the example workflows that need no downloads in the real host and writes the pictures beside them.

`COMFYUI_PATH=... python -m tests.host.make_thumbnails`, after the bundled weights have changed; look at what it wrote.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from motionstream_core.tracks import Tracks, contact_sheet, parse_tracks
from motionstream_core.tracks.npz import load_npz
from tests.host.comfy_host import ROOT, ComfyHost, host_python

WORKFLOWS = ROOT / "workflows"
BUNDLED = ROOT / "js" / "picker" / "bundled"
SIDE, CELL_WIDTH = 128, 254
TAKES_TRACKS = {
    "MotionStreamApplyMotion": "motion",
    "MotionStreamStudentStreamer": "motion",
}
VIDEOS = ("bundled_image_to_video", "track_editor", "camera_move", "teacher_joint_guidance")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        host = ComfyHost(Path(os.environ["COMFYUI_PATH"]).resolve(), host_python(), Path(folder), has_gpu=False)
        host.start()
        try:
            for name in VIDEOS:
                frames, tracks = rendered(host, name)
                write(name, sheet(frames, tracks, columns=2, num_cells=4))
            write("drag_edit_image", before_and_after(*rendered(host, "drag_edit_image")))
            write("live", sheet(*steered(host), columns=2, num_cells=4))
            write("motion_transfer", reference_and_result(rendered(host, "motion_transfer", tell=False)[0]))
            write("table_of_jobs", rows(host))
            write("going_on", clip_and_rest(rendered(host, "going_on", tell=False)[0]))
        finally:
            host.stop()


def rendered(host: ComfyHost, name: str, tell: bool = True, row: int = 1) -> tuple[Tensor, Tracks | None]:
    """Frames (t h w 3) uint8 that a workflow saves, and the tracks that its model was told.

    row: of its table, where it has one.
    """
    prompt: dict[str, Any] = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text("utf-8"))
    for node in prompt.values():
        if "row" in node["inputs"]:
            node["inputs"]["row"] = row
    if tell:
        source = next(
            node["inputs"][slot]
            for kind, slot in TAKES_TRACKS.items()
            for node in prompt.values()
            if node["class_type"] == kind and slot in node["inputs"]
        )
        prompt = copy.deepcopy(prompt) | {
            "told": {"class_type": "MotionStreamTracksToJSON", "inputs": {"tracks": source}},
            "shown": {"class_type": "PreviewAny", "inputs": {"source": ["told", 0]}},
        }
    outputs = host.run(prompt)
    tracks = parse_tracks(outputs["shown"]["text"][0], height=SIDE, width=SIDE) if tell else None
    (file,) = (file for output in outputs.values() for file in output.get("images", []))
    return read(host.output / file["subfolder"] / file["filename"]), tracks


def steered(host: ComfyHost) -> tuple[Tensor, Tracks]:
    """A live recording: the pink shape dragged by a script, as a hand would, and the tracks of that hand."""
    prompt = host.folder / "live.json"
    prompt.write_text((WORKFLOWS / "api" / "live.json").read_text("utf-8"), "utf-8")
    script = Path(__file__).with_name("steer_live.py")
    subprocess.run([host.python, str(script), str(host.port), str(prompt)], check=True, stdout=subprocess.DEVNULL)
    video = max((host.output / "motionstream").glob("live_*.mp4"))
    return read(video), load_npz(video.with_suffix(".tracks.npz"))


def read(path: Path) -> Tensor:
    """Frames of a picture or a video."""
    if path.suffix == ".png":
        return torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy())[None]
    with av.open(str(path)) as video:
        return torch.from_numpy(np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]))


def sheet(frames: Tensor, tracks: Tracks | None, columns: int, num_cells: int, cell_width: int = CELL_WIDTH) -> Tensor:
    return contact_sheet(frames, tracks, columns=columns, num_cells=num_cells, cell_width=cell_width)


def before_and_after(result: Tensor, tracks: Tracks | None) -> Tensor:
    """The example's image with the whole drag over it, and what it became."""
    assert tracks is not None
    image = read(BUNDLED / "three_shapes.png")
    drawn = sheet(image.expand(tracks.num_frames, -1, -1, -1), tracks, 1, 1)
    return torch.cat([drawn, sheet(result, None, 1, 1)], dim=1)


def reference_and_result(frames: Tensor) -> Tensor:
    """Four frames of the reference above the same four of the video that was made from it."""
    reference = read(BUNDLED / "three_things_moving.mp4")
    return torch.cat([sheet(each, None, 4, 4, 170) for each in (reference, frames)])


def rows(host: ComfyHost) -> Tensor:
    """The first frame of each row's video, with its tracks, above the last."""
    made = [rendered(host, "table_of_jobs", row=number) for number in (1, 2, 3)]
    return torch.cat([sheet(*each, columns=1, num_cells=2, cell_width=200) for each in made], dim=1)


def clip_and_rest(frames: Tensor) -> Tensor:
    """Four frames of the clip that went in, above four of how it goes on."""
    length = len(read(BUNDLED / "three_things_moving.mp4"))
    return torch.cat([sheet(each, None, 4, 4, 170) for each in (frames[:length], frames[length:])])


def write(name: str, picture: Tensor) -> None:
    """The thumbnail stands beside the graph whose API form has this name, under the graph's own."""
    path = graph_of(name).with_suffix(".jpg")
    Image.fromarray(picture.numpy()).save(path, quality=88)
    print(path, tuple(picture.shape), flush=True)


def graph_of(name: str) -> Path:
    """The graph whose API form is `name`."""
    for path in WORKFLOWS.glob("*.json"):
        if json.loads(path.read_text("utf-8"))["extra"]["motionstream_api"] == f"api/{name}.json":
            return path
    raise FileNotFoundError(f"no graph in {WORKFLOWS} names api/{name}.json")


if __name__ == "__main__":
    main()
