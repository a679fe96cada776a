"""A newcomer in the real front end, in both of its ways to draw nodes: templates, runs, drawing, search, blueprints.

Needs node, `npm ci` and a Chromium beside COMFYUI_PATH. KJNODES_PATH puts KJNodes into the same ComfyUI.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from motionstream_core.demo.weights import BUNDLED
from motionstream_core.tracks import contact_sheet
from tests.host.comfy_host import ROOT, ComfyHost, browse, host_python, need_browser

pytestmark = pytest.mark.host

SCRIPT = Path(__file__).with_name("newcomer_in_browser.js")
TITLES = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
PUBLIC = {
    "Draw what moves, with Track-v0": {
        "wan_2.1_vae.safetensors",
        "taew2_1.safetensors",
        "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
        "clip_vision_h.safetensors",
    },
    "Text to video, with Self-Forcing": {
        "self_forcing_dmd.pt",
        "taew2_1.safetensors",
        "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    },
}
GOES_ON = "Go on from a video"
FRAMES = {"Teacher with joint guidance": 25, "Edit a picture by dragging a part": 1, GOES_ON: 97}
LIVE = "Drag while the video runs (live)"
PICTURE = ROOT / "js" / "picker" / "bundled" / "three_shapes.png"
# Of 256 levels. A frame of one colour has no spread; in noise, neighbours differ by more than the spread.
MIN_SPREAD = 20.0
MAX_ROUGHNESS = 0.3


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyHost]:
    """A ComfyUI with empty folders, as it is after an install, and KJNodes in it where there is a checkout."""
    path = os.environ.get("COMFYUI_PATH")
    if not path:
        pytest.skip("COMFYUI_PATH is not set: name a ComfyUI checkout (and its Python with COMFYUI_PYTHON)")
    need_browser()
    if not all(file.is_file() for file in BUNDLED.values()):
        pytest.skip("the bundled weights are not there")
    beside = tuple(Path(each).resolve() for each in [os.environ.get("KJNODES_PATH")] if each)
    folder = tmp_path_factory.mktemp("fresh")
    running = ComfyHost(Path(path).resolve(), host_python(), folder, torch.cuda.is_available(), beside)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module", params=["classic", "vue"])
def seen(request: pytest.FixtureRequest, fresh: ComfyHost, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a browser saw and did; see newcomer_in_browser.js."""
    folder = tmp_path_factory.mktemp(f"newcomer_{request.param}")
    found = browse(SCRIPT, fresh, folder, request.param, limit_s=1500)
    (folder / "seen.json").write_text(json.dumps(found), "utf-8")
    for title, opened in found["templates"].items():
        if "run" in opened:
            _write_sheet(_made(fresh, opened["run"]), folder / f"{title}.jpg")
    return {**found, "mode": request.param}


def _file(host: ComfyHost, run: dict[str, Any]) -> Path:
    """The file that the run saved."""
    assert run["name"] == "execution_success", run
    (saved,) = {(file["subfolder"], file["filename"]) for file in run["files"] if file["type"] == "output"}
    return host.output / saved[0] / saved[1]


def _made(host: ComfyHost, run: dict[str, Any]) -> np.ndarray:
    """Frames (t h w 3) of it."""
    path = _file(host, run)
    if path.suffix == ".png":
        return np.asarray(Image.open(path).convert("RGB"))[None]
    with av.open(str(path)) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])


def _spread_and_roughness(frame: np.ndarray) -> tuple[float, float]:
    """Standard deviation of a frame (h w 3), and how far neighbours differ as a share of it: about 1.1 in noise."""
    values = frame.astype(float)
    steps = np.abs(np.diff(values, axis=1)).mean() + np.abs(np.diff(values, axis=0)).mean()
    spread = values.std(axis=(0, 1)).mean()
    return spread, steps / 2 / max(spread, 1e-9)


def _most_changed(frames: np.ndarray) -> float:
    """Share of the picture that is another than in the first frame, where it is most: a motion may come back."""
    return max((np.abs(each.astype(int) - frames[0]).max(-1) > 40).mean() for each in frames)


def _write_sheet(frames: np.ndarray, path: Path) -> None:
    """A few of the frames beside each other, to be looked at."""
    sheet = contact_sheet(torch.from_numpy(frames.copy()), None, columns=4, num_cells=min(4, len(frames)))
    Image.fromarray(sheet.numpy()).save(path)


def test_the_page_has_no_errors(seen: dict[str, Any]) -> None:
    assert seen["problems"] == []


def test_every_template_has_a_title_and_a_picture(seen: dict[str, Any]) -> None:
    """The title is whole on its card, and the picture is its own, not the page's stand-in."""
    assert sorted(card["name"] for card in seen["cards"]) == TITLES
    for card in seen["cards"]:
        assert (card["title"], card["isCut"]) == (card["name"], False)
        with Image.open(ROOT / "workflows" / f"{card['name']}.jpg") as thumbnail:
            assert card["pictures"] == [list(thumbnail.size)], card


def test_every_template_with_bundled_weights_runs_as_it_is_opened(seen: dict[str, Any], fresh: ComfyHost) -> None:
    for title in set(TITLES) - PUBLIC.keys():
        opened = seen["templates"][title]
        assert opened["missing"] == "", title
        frames = _made(fresh, opened["run"])
        assert frames.shape[1:] == (128, 128, 3), title
        if title == LIVE:
            assert len(frames) > 12
        else:
            assert len(frames) == FRAMES.get(title, 49), title
        if len(frames) > 1:
            assert _most_changed(frames) > 0.01, f"{title}: nothing moves"


def test_the_frames_of_every_template_are_the_pictures_and_neither_blank_nor_noise(
    seen: dict[str, Any], fresh: ComfyHost
) -> None:
    picture = np.asarray(Image.open(PICTURE).convert("RGB")).astype(int)
    for title in set(TITLES) - PUBLIC.keys():
        frames = _made(fresh, seen["templates"][title]["run"])
        for index, frame in enumerate(frames):
            spread, roughness = _spread_and_roughness(frame)
            assert spread > MIN_SPREAD, f"{title}: frame {index} is blank, spread {spread:.1f}"
            assert roughness < MAX_ROUGHNESS, f"{title}: frame {index} is noise, roughness {roughness:.2f}"
        if len(frames) > 1 and title != GOES_ON:  # an edited picture is another one, and this begins with its video
            assert np.abs(frames[0] - picture).mean() < 10, f"{title}: the first frame is not the picture"


@pytest.mark.parametrize("title", PUBLIC)
def test_a_template_with_public_weights_says_what_is_missing(seen: dict[str, Any], title: str) -> None:
    opened = seen["templates"][title]
    assert [name for name in PUBLIC[title] if name not in opened["missing"]] == []
    assert "SaveVideo" in opened["kinds"]
    assert "run" not in opened


def test_what_is_drawn_is_what_runs(seen: dict[str, Any], fresh: ComfyHost) -> None:
    editor = seen["editor"]
    assert editor["before"] == {"tracks": 3, "length": 49, "shown": True}
    assert editor["drawn"] == {"tracks": 4, "length": 49, "shown": True}
    assert editor["typed"] == {"tracks": 4, "length": 61, "shown": True}
    assert _made(fresh, editor["run"]).shape == (61, 128, 128, 3)


def test_undo_redo_and_a_reload_keep_the_drawing(seen: dict[str, Any]) -> None:
    editor = seen["editor"]
    assert editor["undone"] == {"tracks": 4, "length": 49, "shown": True}
    assert editor["redone"] == {"tracks": 4, "length": 61, "shown": True}
    assert editor["reloaded"] == {"tracks": 4, "length": 61, "shown": True}


def test_a_length_is_typed_into_the_streamer(seen: dict[str, Any]) -> None:
    assert seen["own_length"] == {"before": 49, "held": 61}


def test_a_table_is_gone_through_row_by_row(seen: dict[str, Any], fresh: ComfyHost) -> None:
    table = seen["table"]
    assert (table["begun"], table["next"]) == (1, 2)
    assert _file(fresh, table["run"]) == fresh.output / "motionstream" / "table" / "red_comes_over.mp4"
    assert "row is 9, but three_jobs.csv has 3; give 1 to 3" in table["beyond"]


def test_a_photo_that_is_dropped_is_what_runs(seen: dict[str, Any], fresh: ComfyHost) -> None:
    photo = seen["photo"]
    assert photo["picked"] == f"photo_{seen['mode']}.png"
    assert photo["nodes"] == 8, "the page made another loader of it"
    first = _made(fresh, photo["run"])[0].astype(int)
    assert first[4, 64] == pytest.approx((0x10, 0x60, 0xC0), abs=25)
    assert first[124, 64] == pytest.approx((0xE0, 0xB0, 0x60), abs=25)
    assert photo["back"] == "bundled/three_shapes"


def test_narrow_nodes_hold_what_is_in_them_and_can_be_drawn_in(seen: dict[str, Any]) -> None:
    narrow = seen["narrow"]
    assert narrow["picker"] <= 1
    assert narrow["track_editor"] <= 1
    assert narrow["drawn"] == {"tracks": 5, "length": 61, "shown": True}


def test_the_editor_is_found_first(seen: dict[str, Any]) -> None:
    """KJNodes has a spline editor of its own; among this pack's nodes the editor is first, and few are with it."""
    for word in ("spline", "drag"):
        mine = [name for name in seen["search"][word] if name.startswith("MotionStream")]
        assert mine[0] == "MotionStream Track Editor", mine
        assert len(mine) <= 3, mine


def test_blueprints_run_and_the_first_is_drawn_in_on_its_own_node(seen: dict[str, Any], fresh: ComfyHost) -> None:
    made = seen["blueprints"]
    assert made["draw"]["drawn"] == {"tracks": 1, "length": 49, "shown": True}
    assert made["draw"]["loaded"] == made["draw"]["drawn"]
    for name, part in made.items():
        frames = _made(fresh, part["run"])
        assert frames.shape == (49, 128, 128, 3), name
        assert _most_changed(frames) > 0.005, f"{name}: nothing moves"


def test_kjnodes_in_the_same_page(seen: dict[str, Any]) -> None:
    if not os.environ.get("KJNODES_PATH"):
        pytest.skip("KJNODES_PATH is not set: name a checkout of kijai/ComfyUI-KJNodes")
    assert seen["beside"] == {"tracks": 1, "length": 49, "shown": True}
