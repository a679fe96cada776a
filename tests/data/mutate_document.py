"""Documents with things broken in them, and an independent word on whether a text is still a document.

    python tests/data/mutate_document.py 1000000

mutates that many times and compares the parser with `well_formed`; it ends with an error at the first difference.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

JUNK: list[Any] = [
    None, True, False, 0, -1, 1, 2, 3.5, 1e-9, 1e7, 1e308, -1e308, 10**40, math.nan, math.inf, -math.inf, "", "1", "a",
    "#00ff7f", [0.2, 0, 0.8, 1],
    "linear", "hold", "anchor", "pan", "zoom", "handheld", "\ud800", "é", [], {}, [[]], [1], [1, 2], [2, 1], [[0, 0]],
    {"x": 1}, [0] * 6, "__proto__",
]  # fmt: skip
NAMES = [
    "id", "kind", "points", "easing", "keyframes", "hidden", "grid", "group", "camera", "x", "__proto__", "start",
    "move", "seed", "name", "color", "region", "turn", "scale",
]  # fmt: skip


def mutated(seed: int, documents: list[dict[str, Any]]) -> str:
    """A text that comes of one to four changes to one of `documents`, or of a few characters changed in its text."""
    rng = random.Random(seed)
    value: Any = copy.deepcopy(rng.choice(documents))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        value = _changed(value, rng)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    for _ in range(rng.choice((0, 0, 0, 0, 1, 3))):
        text = _typo(text, rng)
    return text


def _changed(value: Any, rng: random.Random) -> Any:
    places = [(None, None)]

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(value)
    node, key = rng.choice(places)
    if node is None:
        return rng.choice(JUNK) if rng.random() < 0.05 else value
    action = rng.randrange(7)
    if action == 0:
        del node[key]
    elif action == 1 and isinstance(node, dict):
        node[rng.choice(NAMES)] = copy.deepcopy(rng.choice(JUNK))
    elif action == 2 and isinstance(node, list):
        node.insert(rng.randrange(len(node) + 1), copy.deepcopy(node[key]))
    elif action == 3 and isinstance(node[key], int | float) and not isinstance(node[key], bool):
        node[key] = node[key] * rng.choice((-1, 0, 0.5, 2, 1e3)) + rng.choice((0, 0, 1, -1, 0.25))
    elif action == 4 and isinstance(node, list) and len(node) > 1:
        rng.shuffle(node)
    elif action == 5 and isinstance(node, dict):
        node[rng.choice(NAMES)] = node.pop(key)
    else:
        node[key] = copy.deepcopy(rng.choice(JUNK))
    return value


def _typo(text: str, rng: random.Random) -> str:
    if not text:
        return text
    at = rng.randrange(len(text))
    letter = rng.choice('0123456789-+.eE"[]{},: \n\\tn\u00a0\x00')
    return rng.choice((text[:at] + text[at + 1 :], text[:at] + letter + text[at + 1 :], text[:at] + letter + text[at:]))


class _TwiceError(Exception):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _TwiceError
    return dict(pairs)


def well_formed(text: str) -> bool:
    """Whether docs/tracks-format.md allows `text`: written as one statement of the rules, apart from the parser."""
    if text.strip() == "":
        return True
    try:
        d = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError, _TwiceError):
        return False

    def num(x: Any, low: float, high: float) -> bool:
        return type(x) in (int, float) and low <= x <= high

    def whole(x: Any, high: int) -> bool:
        return num(x, 1, high) and x % 1 == 0

    def keys(x: Any, needed: str, optional: str = "") -> bool:
        return type(x) is dict and set(needed.split()) <= set(x) <= set((needed + " " + optional).split())

    def pair(x: Any, low: float, high: float) -> bool:
        return type(x) is list and len(x) == 2 and num(x[0], low, high)

    def rising(spans: list[Any]) -> bool:
        flat = [x for span in spans for x in span]
        return all(a <= b for a, b in zip(flat[::2], flat[1::2], strict=True)) and all(
            a < b for a, b in zip(flat[1::2], flat[2::2], strict=False)
        )

    def name(x: Any) -> bool:
        return type(x) is str and re.fullmatch(r"[\w.:-]{1,64}", x, re.ASCII) is not None

    def track(t: Any) -> bool:
        newer = d["version"] == 2
        optional = "easing keyframes before after hidden grid group" + " name color region" * newer
        if not keys(t, "id kind interpolation points start duration", optional):
            return False
        sizes = (2, 6) if t["interpolation"] == "bezier" else (2,)
        easing, region = t.get("easing", "linear"), t.get("region", {"points": [[0, 0]]})
        grid = t.get("grid", {"columns": 1, "rows": 1, "dx": 0, "dy": 0})
        spans, frames = t.get("hidden", []), t.get("keyframes", [[0, 0]])
        return (
            name(t["id"])
            and t["kind"] in ("drag", "path", "anchor")
            and t["interpolation"] in ("freehand", "catmull_rom", "bezier", "linear")
            and type(t["points"]) is list
            and len(t["points"]) >= 1
            and (t["kind"] != "anchor" or len(t["points"]) == 1)
            and all(type(p) is list and len(p) in sizes and all(num(x, -1e6, 1e6) for x in p) for p in t["points"])
            and num(t["start"], -1e6, 1e6)
            and num(t["duration"], 0, 1e6)
            and (
                easing in ("linear", "ease_in", "ease_out", "ease_in_out")
                or (newer and type(easing) is list and len(easing) == 4 and all(num(x, 0, 1) for x in easing))
            )
            and not ("easing" in t and "keyframes" in t)
            and type(frames) is list
            and len(frames) >= 1
            and all(pair(k, 0, t["duration"]) and num(k[1], 0, len(t["points"]) - 1) for k in frames)
            and all(a[0] < b[0] for a, b in itertools.pairwise(frames))
            and t.get("before", "hold") in ("hold", "hide")
            and t.get("after", "hold") in ("hold", "hide")
            and type(spans) is list
            and all(pair(s, -1e6, 2e6) and num(s[1], -1e6, 2e6) for s in spans)
            and rising(spans)
            and keys(grid, "columns rows dx dy")
            and whole(grid["columns"], 1000)
            and whole(grid["rows"], 1000)
            and num(grid["dx"], 0, 1e6)
            and num(grid["dy"], 0, 1e6)
            and ("group" not in t or name(t["group"]))
            and (
                "name" not in t or (type(t["name"]) is str and re.fullmatch(r"[^\x00-\x1f\x7f-\x9f]{1,64}", t["name"]))
            )
            and ("color" not in t or (type(t["color"]) is str and re.fullmatch("#[0-9a-f]{6}", t["color"])))
            and not ("grid" in t and "region" in t)
            and keys(region, "points", "turn scale")
            and type(region["points"]) is list
            and len(region["points"]) >= 1
            and all(pair(p, -1e6, 1e6) and num(p[1], -1e6, 1e6) for p in region["points"])
            and num(region.get("turn", 0), -3600, 3600)
            and num(region.get("scale", 1), 0.01, 100)
        )

    def move(m: Any) -> bool:
        degrees, distances = dict.fromkeys(("pan", "tilt", "roll", "orbit"), 360), ("dolly", "truck", "pedestal")
        if not keys(m, "move amount start duration", "easing seed") or type(m["move"]) is not str:
            return False
        ends = {k: (-v, v) for k, v in {**degrees, **dict.fromkeys(distances, 100)}.items()}
        ends |= {"zoom": (0.01, 100), "handheld": (0, 45)}
        shaking = m["move"] == "handheld"
        return (
            m["move"] in ends
            and num(m["amount"], *ends[m["move"]])
            and num(m["start"], -1e6, 1e6)
            and num(m["duration"], 0, 1e6)
            and ("seed" not in m or (shaking and num(m["seed"], 0, 2**32 - 1) and m["seed"] % 1 == 0))
            and ("easing" not in m or (not shaking and m["easing"] in ("linear", "ease_in", "ease_out", "ease_in_out")))
        )

    if not keys(d, "format version canvas tracks", "camera") or type(d["tracks"]) is not list:
        return False
    canvas, camera = d["canvas"], d.get("camera", [])
    grids = [t.get("grid", {}) for t in d["tracks"] if type(t) is dict]
    return (
        d["format"] == "motionstream-tracks"
        and type(d["version"]) in (int, float)
        and d["version"] in (1, 2)
        and type(camera) is list
        and len(camera) <= 100
        and all(move(m) for m in camera)
        and keys(canvas, "width height num_frames fps")
        and whole(canvas["width"], 16384)
        and whole(canvas["height"], 16384)
        and whole(canvas["num_frames"], 1_000_000)
        and num(canvas["fps"], 1e-3, 1000)
        and all(track(t) for t in d["tracks"])
        and len({t["id"] for t in d["tracks"]}) == len(d["tracks"])
        and sum(g.get("columns", 1) * g.get("rows", 1) for g in grids)
        + sum(len(t["region"]["points"]) - 1 for t in d["tracks"] if "region" in t)
        <= 100_000
    )


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from motionstream_core.tracks import Canvas, TrackFormatError, parse_document

    files = (Path(__file__).parent / name for name in ("documents.json", "camera.json"))
    documents = [case["document"] for file in files for case in json.loads(file.read_text("utf-8"))["valid"]]
    count, passed, start = int(sys.argv[1]), 0, time.monotonic()
    for seed in range(count):
        text = mutated(seed, documents)
        try:
            parse_document(text, Canvas(64, 48, 9, 16))
            accepted = True
        except TrackFormatError:
            accepted = False
        if accepted != well_formed(text):
            sys.exit(f"seed {seed}: accepted {accepted}, but the rules say {not accepted}: {text!r}")
        passed += accepted
    print(
        f"{count} texts in {time.monotonic() - start:.0f} s: "
        f"{passed} documents, {count - passed} refused, no difference"
    )


if __name__ == "__main__":
    main()
