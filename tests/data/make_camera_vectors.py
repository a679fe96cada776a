"""Writes camera.json: what the camera layer of a document must come to in Python and in the browser.

    python tests/data/make_camera_vectors.py

No matrices of rotation and no homography here, unlike under test: the camera is a point with three axes that are turned
one after another about an axis in space (Rodrigues), a drawn point is found by solving for its coordinates along these
axes, and the ray through the pixel found must meet the plane where the point is drawn, or this script fails.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from make_track_vectors import EASE, base, sampled, track  # noqa: E402

LOOKED_AT = np.array([0.0, 0.0, 1.0])
NEAR = 0.001


def turned(vector: np.ndarray, axis: np.ndarray, degrees: float) -> np.ndarray:
    """Rodrigues' formula."""
    a = math.radians(degrees)
    return vector * math.cos(a) + np.cross(axis, vector) * math.sin(a) + axis * (axis @ vector) * (1 - math.cos(a))


def finalized(h: int) -> int:
    """MurmurHash3's fmix32, a bit at a time where it multiplies."""

    def times(a: int, b: int) -> int:
        total = 0
        for bit in range(32):
            if b >> bit & 1:
                total = (total + (a << bit)) & 0xFFFFFFFF
        return total

    h ^= h >> 16
    h = times(h, 0x85EBCA6B)
    h ^= h >> 13
    h = times(h, 0xC2B2AE35)
    return h ^ h >> 16


def smooth(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


def shaken(move: dict[str, Any], frame: float) -> list[float]:
    """Degrees of pan, tilt, roll."""
    since, duration = frame - move["start"], move["duration"]
    fade = min(4.0, duration / 2)
    if fade == 0:
        return [0.0, 0.0, 0.0]
    result = []
    for axis, part in enumerate((1.0, 1.0, 0.5)):
        wave = 0.0
        for k, (cycles, weight) in enumerate(((0.0271, 0.4), (0.0523, 0.3), (0.0897, 0.2), (0.1531, 0.1))):
            phase = finalized((move.get("seed", 0) + (4 * axis + k + 1) * 2654435769) & 0xFFFFFFFF) / 4294967296
            wave += weight * math.sin(math.tau * cycles * since + math.tau * phase)
        result.append(part * move["amount"] * smooth(since / fade) * smooth((duration - since) / fade) * wave)
    return result


def done(move: dict[str, Any], frame: float) -> float:
    """Share of a move that is done at a frame."""
    since, duration = frame - move["start"], move["duration"]
    progress = min(max(since / duration, 0.0), 1.0) if duration else float(since >= 0)
    return EASE[move.get("easing", "linear")](progress)


def camera_at(moves: list[dict[str, Any]], frame: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Position, the axes right, down, forward as rows, and the factor of the focal length."""
    total = dict.fromkeys(("pan", "tilt", "roll", "dolly", "truck", "pedestal", "orbit"), 0.0)
    log_zoom = 0.0
    for move in moves:
        if move["move"] == "zoom":
            log_zoom += math.log(move["amount"]) * done(move, frame)
        elif move["move"] == "handheld":
            for kind, degrees in zip(("pan", "tilt", "roll"), shaken(move, frame), strict=True):
                total[kind] += degrees
        else:
            total[move["move"]] += move["amount"] * done(move, frame)
    right, down, forward = np.eye(3)
    up = -down
    position = total["truck"] * right + total["pedestal"] * up + total["dolly"] * forward
    # Clockwise seen from above turns the view to the right: about `down`, by the rule of the right hand.
    right, forward = (turned(each, down, total["pan"]) for each in (right, forward))
    down, forward = (turned(each, right, total["tilt"]) for each in (down, forward))
    right, down = (turned(each, forward, total["roll"]) for each in (right, down))
    # The crane carries the camera to the right, so it turns anticlockwise seen from above.
    position = LOOKED_AT + turned(position - LOOKED_AT, up, total["orbit"])
    axes = np.stack([turned(each, up, total["orbit"]) for each in (right, down, forward)])
    return position, axes, math.exp(log_zoom)


def seen_at(moves: list[dict[str, Any]], frame: float, x: float, y: float, canvas: dict[str, Any]) -> list[float]:
    """[x, y, depth] of a drawn point; x and y are nan nearer than NEAR."""
    width, height = canvas["width"], canvas["height"]
    position, axes, zoom = camera_at(moves, frame)
    drawn = np.array([(x - width / 2) / width, (y - height / 2) / width, 1.0])
    right, down, forward = np.linalg.solve(axes.T, drawn - position)
    if forward < NEAR:
        return [math.nan, math.nan, forward]
    u, v = width / 2 + zoom * width * right / forward, height / 2 + zoom * width * down / forward
    ray = axes.T @ np.array([(u - width / 2) / (zoom * width), (v - height / 2) / (zoom * width), 1.0])
    if abs(ray[2]) > 1e-9:  # else the plane is seen edge on
        hit = position + ray * (1 - position[2]) / ray[2]
        assert np.abs(hit - drawn).max() < 1e-6 * max(1.0, float(np.abs(drawn).max())), (moves, frame, x, y)
    return [u, v, forward]


def under_camera(document: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    points, visibility = sampled(document)
    for frame, (row, seen) in enumerate(zip(points, visibility, strict=True)):
        for n, (x, y) in enumerate(row):
            u, v, depth = seen_at(document["camera"], frame, x, y, document["canvas"])
            assert abs(depth - NEAR) > 1e-6 and not max(abs(u), abs(v)) > 30_000, (
                document["camera"],
                frame,
                u,
                v,
                depth,
            )
            row[n] = [0.0, 0.0] if math.isnan(u) else [round(u, 5), round(v, 5)]
            seen[n] &= int(depth >= NEAR)
    return points, visibility


def move(kind: str, amount: float, start: float = 0, duration: float = 24, **more: Any) -> dict[str, Any]:
    return {"move": kind, "amount": amount, "start": start, "duration": duration, **more}


ANCHORS = track(
    id="still", kind="anchor", points=[[160, 100]], grid={"columns": 3, "rows": 2, "dx": 130.5, "dy": 145.25}
)
BALL = track(
    id="ball",
    interpolation="catmull_rom",
    points=[[50, 50], [300, 60], [60, 190]],
    start=2,
    duration=18,
    hidden=[[5, 7]],
)
LAYERS: dict[str, list[dict[str, Any]]] = {
    "pan right": [move("pan", 20)],
    "pan left, part of the clip": [move("pan", -12.5, 3.5, 11, easing="ease_in_out")],
    "tilt up": [move("tilt", 15, easing="ease_in")],
    "tilt down before the clip": [move("tilt", -9, -12, 24, easing="ease_out")],
    "roll clockwise": [move("roll", 100)],
    "a jump of the roll": [move("roll", -30, 10, 0)],
    "dolly in": [move("dolly", 0.5)],
    "dolly out": [move("dolly", -1.25, easing="ease_out")],
    "dolly through the plane": [move("dolly", 1.51, 0, 24)],
    "truck right": [move("truck", 0.3)],
    "truck left": [move("truck", -0.75, 4, 8)],
    "pedestal up": [move("pedestal", 0.2)],
    "pedestal down": [move("pedestal", -0.35, easing="ease_in_out")],
    "orbit to the right": [move("orbit", 40)],
    "orbit to the left": [move("orbit", -65.5, easing="ease_in")],
    "zoom in": [move("zoom", 2)],
    "zoom out, eased": [move("zoom", 0.4, 2, 20, easing="ease_in_out")],
    "two zooms": [move("zoom", 1.5), move("zoom", 3, 12, 6)],
    "looking away": [move("pan", 177)],
    "hand-held": [move("handheld", 1.5)],
    "hand-held, seeded": [move("handheld", 4, seed=1234567)],
    "hand-held, the last seed, shorter than its fades": [move("handheld", 6, 8, 5, seed=4294967295)],
    "hand-held for no time": [move("handheld", 5, 8, 0, seed=3)],
    "pan, tilt and roll at once": [move("roll", 25), move("tilt", 11), move("pan", -17)],
    "truck beside a pan": [move("pan", 14), move("truck", 0.25)],
    "the dolly zoom": [move("dolly", -1), move("zoom", 2)],
    "everything": [
        move("pan", 5),
        move("tilt", -4, 3, 9, easing="ease_in"),
        move("roll", 12, easing="ease_out"),
        move("dolly", 0.2, 6),
        move("truck", -0.1),
        move("pedestal", 0.15, easing="ease_in_out"),
        move("orbit", 22),
        move("zoom", 1.3),
        move("handheld", 0.8, seed=9),
        move("pan", -7.5, 12, 6),
    ],
}


def invalid_documents() -> list[dict[str, Any]]:
    def bad(place: str, *moves: Any) -> dict[str, Any]:
        return {"place": place, "document": base(track(), camera=list(moves))}

    def without(name: str) -> dict[str, Any]:
        return {key: value for key, value in move("pan", 3).items() if key != name}

    return [
        {"place": "camera", "document": base(track(), camera={})},
        {"place": "camera", "document": base(track(), camera=None)},
        {"place": "camera", "document": base(track(), camera=[move("pan", 1)] * 101)},
        *(bad("camera[0]", each) for each in (3, "pan", [], None, {})),
        *(bad("camera[0]", without(name)) for name in ("move", "amount", "start", "duration")),
        bad("camera[0]", move("pan", 3, speed=2)),
        bad("camera[0].move", move("crane", 3)),
        bad("camera[0].move", {**move("pan", 3), "move": ["pan"]}),
        bad("camera[1].amount", move("pan", 3), move("pan", 361)),
        bad("camera[0].amount", move("tilt", "3")),
        bad("camera[0].amount", move("dolly", True)),
        bad("camera[0].amount", move("truck", -101)),
        bad("camera[0].amount", move("zoom", 0)),
        bad("camera[0].amount", move("zoom", -2)),
        bad("camera[0].amount", move("zoom", 101)),
        bad("camera[0].amount", move("handheld", -1)),
        bad("camera[0].amount", move("handheld", 46)),
        bad("camera[0].start", move("pan", 3, None)),
        bad("camera[0].start", move("pan", 3, 2e6)),
        bad("camera[0].duration", move("pan", 3, 0, -1)),
        bad("camera[0].easing", move("pan", 3, easing="bounce")),
        bad("camera[0]", move("pan", 3, seed=1)),
        bad("camera[0]", move("handheld", 3, easing="linear")),
        *(bad("camera[0].seed", move("handheld", 3, seed=seed)) for seed in (-1, 1.5, 4294967296, "1", None, True)),
    ]


def main() -> None:
    valid = []
    for name, layer in LAYERS.items():
        document = base(ANCHORS, BALL, camera=layer)
        points, visibility = under_camera(document)
        valid.append({"name": name, "document": document, "points": points, "visibility": visibility})
    empty = base(camera=LAYERS["everything"])
    valid.append({"name": "nothing drawn", "document": empty, "points": [[]] * 25, "visibility": [[]] * 25})
    shakes = []
    for each in (move("handheld", 1), move("handheld", 10, 5.5, 9, seed=77), move("handheld", 2, 0, 9000, seed=2**31)):
        frames = [0, 1, 2.5, 7, 10.25, 13, 14.5, 24, 8881]
        shakes.append(
            {"move": each, "frames": frames, "degrees": [[round(x, 9) for x in shaken(each, f)] for f in frames]}
        )
    value = {"tolerance_px": 0.01, "valid": valid, "invalid": invalid_documents(), "shakes": shakes}
    (HERE / "camera.json").write_text(json.dumps(value, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
