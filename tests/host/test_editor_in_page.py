"""The editor in its node, in both ways in which the page draws nodes: what the page around it does, what it is given.

Needs node, `npm ci` and a Chromium beside COMFYUI_PATH; skips and says so where they are missing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.host.comfy_host import ROOT, ComfyHost, browse, with_checkpoints

pytestmark = pytest.mark.host

SCRIPT = Path(__file__).with_name("editor_in_browser.js")
# In Nodes 2.0 they take another height once they are made again by an undo, which ends the redo.
OTHERS = ("SaveVideo", "PreviewAny")
RED, GREEN, BLUE = (0xC0, 0x20, 0x20), (0x20, 0xA0, 0x40), (0x20, 0x40, 0xC0)


@pytest.fixture(scope="module", params=["classic", "vue"])
def seen(
    request: pytest.FixtureRequest,
    host: ComfyHost,
    checkpoints: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What a browser saw and did; see editor_in_browser.js."""
    folder = tmp_path_factory.mktemp(f"editor_{request.param}")
    prompt = with_checkpoints(json.loads((ROOT / "workflows/api/track_editor.json").read_text("utf-8")), checkpoints)
    for key, node in list(prompt.items()):
        if node["class_type"] == "MotionStreamTrackEditor":
            node["inputs"]["document"] = ""
        if node["class_type"] in OTHERS:
            del prompt[key]
    (folder / "prompt.json").write_text(json.dumps(prompt), "utf-8")
    return browse(SCRIPT, host, folder, request.param, folder / "prompt.json")


def test_the_page_has_no_errors(seen: dict[str, Any]) -> None:
    assert seen["problems"] == []


def test_an_empty_editor_says_what_to_do_and_the_first_drag_draws(seen: dict[str, Any]) -> None:
    assert seen["empty"] == {"tracks": 0, "length": 49, "shown": True, "words": True}
    drawn = seen["drawn"]
    assert (drawn["tracks"], drawn["shown"]) == (2, True)
    assert min(drawn["colours"].values()) > 20


def test_an_undo_of_the_graph_keeps_the_editor_and_shows_its_tracks_at_once(seen: dict[str, Any]) -> None:
    undone, redone = seen["undone"], seen["redone"]
    assert (undone["tracks"], undone["shown"]) == (1, True)
    assert undone["colours"]["first"] > 20
    assert undone["colours"]["second"] == 0
    assert (redone["tracks"], redone["shown"]) == (2, True)
    assert min(redone["colours"].values()) > 20


def test_control_z_after_the_fit_button_takes_the_fit_back_alone(seen: dict[str, Any]) -> None:
    assert (seen["fitted"]["tracks"], seen["fitted"]["clip"]) == (2, [256, 256])
    undone = seen["fit_undone"]
    assert (undone["tracks"], undone["clip"], undone["size"], undone["shown"]) == (2, [128, 128], [256, 256], True)
    assert min(undone["colours"].values()) > 20


def test_the_wheel_zooms_the_focused_editor_and_not_the_graph(seen: dict[str, Any]) -> None:
    before, after = seen["wheel"]["graph"]
    assert after == before
    near, far = seen["wheel"]["path"]
    assert far != near


def test_the_list_of_keys_goes_by_escape_and_by_a_click_and_full_screen_can_be_left(seen: dict[str, Any]) -> None:
    assert seen["help"] == [True, False, False, True, False]
    assert (seen["left_full_screen"]["overlays"], seen["left_full_screen"]["shown"]) == (0, True)


def test_a_node_of_300_px_keeps_everything_inside(seen: dict[str, Any]) -> None:
    assert seen["narrow"]["spill"] <= 1
    assert seen["narrow"]["shown"]


def test_a_dropped_photo_gives_its_size_and_is_shown(seen: dict[str, Any]) -> None:
    assert seen["photo"]["size"] == [320, 192]
    for found, colour in zip(seen["photo"]["below"], (RED, GREEN, BLUE), strict=True):
        assert found == pytest.approx(colour, abs=2)


def test_a_reload_of_the_page_keeps_all_of_it(seen: dict[str, Any]) -> None:
    again = seen["reloaded"]
    assert (again["tracks"], again["size"], again["shown"]) == (1, [320, 192], True)
    assert again["below"] == seen["photo"]["below"]
    assert again["colours"]["first"] > 20


def test_the_picture_is_shown_as_the_sampler_fits_it(seen: dict[str, Any]) -> None:
    """At 0.28 of a square clip: px 118 of 320 where the middle is cut out, px 90 where all is squeezed in."""
    assert seen["fit"]["crop"] == pytest.approx(GREEN, abs=2)
    assert seen["fit"]["stretch"] == pytest.approx(RED, abs=2)


def test_in_a_chinese_interface_the_editor_speaks_chinese(seen: dict[str, Any]) -> None:
    words, tool = seen["chinese"]
    assert words == "拖动以画出运动" and tool.startswith("选择与移动（V）")
