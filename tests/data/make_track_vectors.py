"""Writes curves.json and documents.json: what Python's and the browser's curves and documents must both come to.

    python tests/data/make_track_vectors.py

The sums here are slow and other ones than under test: basis functions and pyramids instead of Bezier pieces, chords of
a very fine polyline instead of integrals, one frame at a time. Formulas as in docs/tracks-format.md.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
FINE = 40_000  # chords per control point
Point = tuple[float, float]


def mirrored(points: list[list[float]], index: int) -> np.ndarray:
    if index < 0:
        return 2 * np.array(points[0][:2]) - np.array(points[1][:2])
    if index >= len(points):
        return 2 * np.array(points[-1][:2]) - np.array(points[-2][:2])
    return np.array(points[index][:2])


def freehand_at(points: list[list[float]], u: float) -> np.ndarray:
    """Basis functions of the uniform quadratic B-spline, whose middle is the nearest control point."""
    i = min(math.floor(u + 0.5), len(points) - 1)
    t = u - i
    weights = ((0.5 - t) ** 2 / 2, 0.75 - t**2, (0.5 + t) ** 2 / 2)
    return sum((w * mirrored(points, i + k - 1) for k, w in enumerate(weights)), np.zeros(2))


def catmull_rom_at(points: list[list[float]], u: float) -> np.ndarray:
    """Barry and Goldman's pyramid over centripetal knots."""
    i = min(int(u), len(points) - 2)
    p = [mirrored(points, i + k) for k in (-1, 0, 1, 2)]
    if np.array_equal(p[1], p[2]):
        return p[1]
    if np.array_equal(p[0], p[1]):
        p[0] = 2 * p[1] - p[2]
    if np.array_equal(p[2], p[3]):
        p[3] = 2 * p[2] - p[1]
    t = [0.0]
    for a, b in itertools.pairwise(p):
        t.append(t[-1] + math.dist(a, b) ** 0.5)
    x = t[1] + (u - i) * (t[2] - t[1])

    def mix(a: np.ndarray, b: np.ndarray, start: float, stop: float) -> np.ndarray:
        return (stop - x) / (stop - start) * a + (x - start) / (stop - start) * b

    a = [mix(p[k], p[k + 1], t[k], t[k + 1]) for k in range(3)]
    b = [mix(a[k], a[k + 1], t[k], t[k + 2]) for k in range(2)]
    return mix(b[0], b[1], t[1], t[2])


def bezier_at(points: list[list[float]], u: float) -> np.ndarray:
    """De Casteljau's construction."""
    i = min(int(u), len(points) - 2)
    t = u - i
    full = [np.array([*p, 0, 0, 0, 0][:6] if len(p) == 2 else p, dtype=float) for p in points[i : i + 2]]
    row = [full[0][:2], full[0][:2] + full[0][4:], full[1][:2] + full[1][2:4], full[1][:2]]
    while len(row) > 1:
        row = [(1 - t) * a + t * b for a, b in itertools.pairwise(row)]
    return row[0]


def linear_at(points: list[list[float]], u: float) -> np.ndarray:
    i = min(int(u), len(points) - 2)
    return (1 - (u - i)) * np.array(points[i], dtype=float) + (u - i) * np.array(points[i + 1], dtype=float)


AT = {"freehand": freehand_at, "catmull_rom": catmull_rom_at, "bezier": bezier_at, "linear": linear_at}


class Reference:
    """One curve as a very fine polyline, with the length of arc at every vertex."""

    def __init__(self, points: list[list[float]], interpolation: str) -> None:
        self.points, self.interpolation = points, interpolation
        if len(points) == 1:
            self.u, self.line, self.arc = np.zeros(1), np.array([points[0][:2]], dtype=float), np.zeros(1)
            return
        coarse = 40 if interpolation == "linear" else FINE // 10
        self.u = np.linspace(0, len(points) - 1, (len(points) - 1) * coarse + 1)
        self.line = np.array([AT[interpolation](points, float(u)) for u in self.u])
        self.arc = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(self.line, axis=0).T))])

    def at(self, u: float) -> list[float]:
        return self.line[0].tolist() if len(self.points) == 1 else AT[self.interpolation](self.points, u).tolist()

    def at_arc(self, arc: float) -> list[float]:
        return [float(np.interp(arc, self.arc, self.line[:, axis])) for axis in (0, 1)]

    def arc_at(self, u: float) -> float:
        return float(np.interp(u, self.u, self.arc))


RNG = np.random.default_rng(5)
SHAPES: dict[str, list[list[float]]] = {
    "one point": [[12.5, 40.0]],
    "two points": [[10, 20], [410, 320]],
    "three points": [[10, 200], [200, 20], [390, 210]],
    "a hook": [[50, 50], [300, 60], [310, 75], [60, 90], [40, 300]],
    "coincident neighbours": [[100, 100], [100, 100], [250, 120], [250, 120], [250, 120], [400, 300]],
    "out of the frame": [[-400, 100], [200, -250], [1500, 700], [900, 1400]],
    "scribble": RNG.uniform(0, 500, (12, 2)).round(2).tolist(),
    "there and back": [[0, 0], [300, 0], [0, 0], [0, 200]],
    "all at one place": [[77, 88], [77, 88], [77, 88]],
}
HANDLES: dict[str, list[list[float]]] = {
    "bow": [[100, 300, 0, 0, 100, -200], [500, 300, -100, -200, 0, 0]],
    "circle of four": [
        [300, 100, -110.45695, 0, 110.45695, 0],
        [500, 300, 0, -110.45695, 0, 110.45695],
        [300, 500, 110.45695, 0, -110.45695, 0],
        [100, 300, 0, 110.45695, 0, -110.45695],
        [300, 100, -110.45695, 0, 110.45695, 0],
    ],
    "loop": [[100, 300, 0, 0, 500, -300], [400, 300, -500, -300, 0, 0]],
    "corner without handles": [[0, 0], [200, 0], [200, 150]],
}


def curve_cases() -> list[dict[str, Any]]:
    cases = []
    for interpolation in AT:
        shapes = {**SHAPES, **HANDLES} if interpolation == "bezier" else SHAPES
        for name, points in shapes.items():
            reference = Reference(points, interpolation)
            u = [round(x, 4) for x in np.linspace(0, max(len(points) - 1, 0), 23).tolist()]
            share = np.linspace(0, 1, 23).round(4).tolist()
            length = float(reference.arc[-1])
            cases.append(
                {
                    "name": f"{interpolation}: {name}",
                    "interpolation": interpolation,
                    "points": points,
                    "length": rounded(length),
                    "u": u,
                    "at": rounded([reference.at(x) for x in u]),
                    "arc_at": rounded([reference.arc_at(x) for x in u]),
                    "share": share,
                    "at_share": rounded([reference.at_arc(x * length) for x in share]),
                }
            )
    return cases


EASE = {
    "linear": lambda p: p,
    "ease_in": lambda p: p * p,
    "ease_out": lambda p: p * (2 - p),
    "ease_in_out": lambda p: 3 * p * p - 2 * p * p * p,
}


def bend_at(bend: list[float], progress: float) -> float:
    """The height of a cubic Bezier, looked up in a table of a great many of its points."""
    t = np.linspace(0, 1, 200_001)
    x, y = (3 * t * (1 - t) ** 2 * bend[axis] + 3 * t**2 * (1 - t) * bend[axis + 2] + t**3 for axis in (0, 1))
    return float(np.interp(progress, x, y))


def turned(region: dict[str, Any], share: float) -> list[tuple[float, float]]:
    """Offsets as complex numbers, multiplied by the power of what the whole way multiplies them by."""
    whole = complex(math.log(region.get("scale", 1)), math.radians(region.get("turn", 0)))
    by = np.exp(whole * share)
    return [((by * complex(*point)).real, (by * complex(*point)).imag) for point in region["points"]]


def track_at(track: dict[str, Any], reference: Reference, frame: float) -> tuple[list[float], bool, float]:
    """Where it is, whether it can be seen, and the share of its way."""
    start, duration = track["start"], track["duration"]
    since = frame - start
    if "keyframes" in track:
        frames = [k[0] for k in track["keyframes"]]
        arcs = [reference.arc_at(k[1]) for k in track["keyframes"]]
        if since <= frames[0]:
            arc = arcs[0]
        elif since >= frames[-1]:
            arc = arcs[-1]
        else:
            k = max(i for i, f in enumerate(frames) if f <= since)
            arc = arcs[k] + (since - frames[k]) / (frames[k + 1] - frames[k]) * (arcs[k + 1] - arcs[k])
        share = arc / float(reference.arc[-1]) if reference.arc[-1] else 0.0
    else:
        progress = min(max(since / duration, 0.0), 1.0) if duration else float(since >= 0)
        easing = track.get("easing", "linear")
        share = bend_at(easing, progress) if isinstance(easing, list) else EASE[easing](progress)
        arc = share * float(reference.arc[-1])
    seen = not any(first <= frame <= last for first, last in track.get("hidden", []))
    seen &= track.get("before", "hold") == "hold" or frame >= start
    seen &= track.get("after", "hold") == "hold" or frame <= start + duration
    return reference.at_arc(arc), bool(seen), share


def sampled(document: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Points [frame][track][x, y] and visibility [frame][track] at the canvas's own length."""
    tracks = [(t, Reference(t["points"], t["interpolation"])) for t in document["tracks"]]
    points, visibility = [], []
    for frame in range(document["canvas"]["num_frames"]):
        row, seen = [], []
        for track, reference in tracks:
            (x, y), visible, share = track_at(track, reference, frame)
            for dx, dy in turned(track["region"], share) if "region" in track else ():
                row.append([x + dx, y + dy])
                seen.append(int(visible))
            if "region" in track:
                continue
            grid = track.get("grid", {"columns": 1, "rows": 1, "dx": 0, "dy": 0})
            for j in range(grid["rows"]):
                for i in range(grid["columns"]):
                    dx, dy = (i - (grid["columns"] - 1) / 2) * grid["dx"], (j - (grid["rows"] - 1) / 2) * grid["dy"]
                    row.append([x + dx, y + dy])
                    seen.append(int(visible))
        points.append(rounded(row))
        visibility.append(seen)
    return points, visibility


def base(*tracks: dict[str, Any], **more: Any) -> dict[str, Any]:
    canvas = {"width": 320, "height": 200, "num_frames": 25, "fps": 16}
    return {"format": "motionstream-tracks", "version": 1, "canvas": canvas, "tracks": list(tracks), **more}


def newer(*tracks: dict[str, Any]) -> dict[str, Any]:
    return base(*tracks, version=2)


def track(**changes: Any) -> dict[str, Any]:
    made = {"id": "a", "kind": "path", "interpolation": "linear", "points": [[20, 30], [220, 30]], "start": 0}
    made = {**made, "duration": 24, **changes}
    return {name: value for name, value in made.items() if value is not ...}


def valid_documents() -> dict[str, dict[str, Any]]:
    hook = SHAPES["a hook"]
    return {
        "nothing drawn": base(),
        "one straight path": base(track()),
        "an empty camera layer": base(track(), camera=[]),
        "every easing": base(*(track(id=e, easing=e, interpolation="catmull_rom", points=hook) for e in EASE)),
        "a span inside the clip, hidden outside": base(track(start=6, duration=10, before="hide", after="hide")),
        "a span that began before the clip": base(track(start=-6.5, duration=40)),
        "no duration: a jump": base(track(start=12, duration=0)),
        "keyframes, a stop and a way back": base(
            track(interpolation="catmull_rom", points=hook, keyframes=[[2, 0], [8, 3], [12, 3], [20.5, 0.5]], start=2)
        ),
        "one keyframe": base(track(keyframes=[[5, 0.25]])),
        "a live drag": base(
            track(
                kind="drag", interpolation="freehand", points=hook, keyframes=[[0, 0], [3, 1], [9, 2], [10, 3], [24, 4]]
            )
        ),
        "occluded twice": base(track(hidden=[[3, 6], [10, 10]])),
        "an anchor": base(track(kind="anchor", points=[[7.25, 180.5]])),
        "a grid that moves as one": base(track(grid={"columns": 3, "rows": 2, "dx": 8, "dy": 5.5})),
        "a group of two, bezier": base(
            track(id="g:1", group="pair", interpolation="bezier", points=HANDLES["bow"]),
            track(
                id="g:2", group="pair", interpolation="bezier", points=HANDLES["circle of four"], easing="ease_in_out"
            ),
        ),
        "version 2 without its fields": newer(track()),
        "a name and a colour": newer(track(name="Großes Boot, links ⛵", color="#12abef")),
        "easing curves": newer(
            *(
                track(id=f"e{i}", easing=bend, interpolation="catmull_rom", points=hook)
                for i, bend in enumerate(
                    ([0, 0, 1, 1], [0.42, 0, 0.58, 1], [1, 0, 0, 1], [0, 1, 1, 0], [0.9, 0.1, 1, 0.2], [1, 1, 0, 0])
                )
            )
        ),
        "a region that moves, turns and grows": newer(
            track(
                interpolation="catmull_rom",
                points=hook,
                easing=[0.7, 0, 0.3, 1],
                region={"points": [[0, 0], [-12.5, 4], [8, -20]], "turn": -135, "scale": 2.5},
            )
        ),
        "a region that turns where it is": newer(
            track(points=[[90, 80]], start=4, duration=16, region={"points": [[10, 0], [0, 10]], "turn": 720})
        ),
        "a region with keyframes": newer(
            track(keyframes=[[2, 0], [8, 1], [20, 0.5]], region={"points": [[5, 5]], "turn": 90, "scale": 0.5}),
            track(id="b", points=[[9, 9]], keyframes=[[3, 0]], region={"points": [[5, 5]], "turn": 90}),
        ),
        "an anchored region": newer(track(kind="anchor", points=[[50, 60]], region={"points": [[1, 2], [3, 4]]})),
    }


def invalid_documents() -> list[dict[str, Any]]:
    def case(place: str, document: Any) -> dict[str, Any]:
        return {"place": place, "document": document}

    def bad(place: str, **changes: Any) -> dict[str, Any]:
        return case(f"tracks[0].{place}", base(track(**changes)))

    def newly(place: str, **changes: Any) -> dict[str, Any]:
        return case(f"tracks[0].{place}", newer(track(**changes)))

    def missing(name: str) -> dict[str, Any]:
        return {key: value for key, value in base().items() if key != name}

    def canvas(**changes: Any) -> dict[str, Any]:
        return {**base(), "canvas": {**base()["canvas"], **changes}}

    return [
        case("document", []),
        case("document", "motionstream-tracks"),
        case("format", missing("format")),
        case("version", missing("version")),
        case("canvas", missing("canvas")),
        case("tracks", missing("tracks")),
        case("format", {**base(), "format": "kj"}),
        *(case("version", {**base(), "version": version}) for version in (0, 3, 1.5, "1", None, True)),
        case("strokes", {**base(), "strokes": []}),
        case("camera", base(camera=[{"pan": 3}])),
        case("camera", base(camera={})),
        case("tracks", {**base(), "tracks": {}}),
        case("canvas.width", canvas(width=0)),
        case("canvas.width", canvas(width=320.5)),
        case("canvas.height", canvas(height="200")),
        case("canvas.num_frames", canvas(num_frames=True)),
        case("canvas.fps", canvas(fps=0)),
        case("canvas", canvas(depth=3)),
        case("tracks[1].id", base(track(), track())),
        case("tracks[0]", base(track(colour="red"))),
        *(case("tracks[0]", base(track(**{n: ...}))) for n in ("id", "kind", "interpolation", "points", "start")),
        bad("id", id=""),
        bad("id", id="a b"),
        bad("id", id=3),
        bad("kind", kind="anker"),
        bad("interpolation", interpolation="cardinal"),
        bad("points", points=[]),
        bad("points", points=None),
        bad("points", kind="anchor"),
        bad("points[1]", points=[[1, 2], [3]]),
        bad("points[0]", points=[[1, 2, 0, 0, 0, 0], [3, 4]]),
        bad("points[1][0]", points=[[1, 2], ["3", 4]]),
        bad("points[1][1]", points=[[1, 2], [3, None]]),
        bad("points[0][0]", points=[[1e9, 2], [3, 4]]),
        bad("points[0]", points=[{"x": 1, "y": 2}, [3, 4]]),
        bad("start", start="0"),
        bad("duration", duration=-1),
        bad("duration", duration=True),
        bad("easing", easing="bounce"),
        bad("easing", easing="linear", keyframes=[[0, 0]]),
        bad("keyframes", keyframes=[]),
        bad("keyframes[1][0]", keyframes=[[4, 0], [4, 1]]),
        bad("keyframes[0][0]", keyframes=[[25, 0]]),
        bad("keyframes[0][1]", keyframes=[[3, 2]]),
        bad("keyframes[0]", keyframes=[[3]]),
        bad("before", before="show"),
        bad("after", after=None),
        bad("hidden", hidden={}),
        bad("hidden[0]", hidden=[[6, 3]]),
        bad("hidden[1]", hidden=[[1, 6], [6, 9]]),
        bad("hidden[0]", hidden=[5]),
        bad("grid", grid=[3, 3]),
        bad("grid.columns", grid={"columns": 0, "rows": 1, "dx": 1, "dy": 1}),
        bad("grid.dx", grid={"columns": 2, "rows": 1, "dx": -1, "dy": 1}),
        bad("grid", grid={"columns": 2, "rows": 1, "dx": 1}),
        bad("group", group=""),
        case("tracks[0]", base(track(name="of version 2"))),
        bad("easing", easing=[0, 0, 1, 1]),
        newly("easing", easing=[0, 0, 1]),
        newly("easing[2]", easing=[0, 0, 1.5, 1]),
        newly("easing[1]", easing=[0, True, 1, 1]),
        newly("name", name=""),
        newly("name", name="two\nlines"),
        newly("name", name="x" * 65),
        newly("name", name=7),
        newly("color", color="red"),
        newly("color", color="#12ABEF"),
        newly("color", color="#12abe"),
        newly("region", region=[]),
        newly("region", region={"turn": 3}),
        newly("region", region={"points": [[0, 0]], "angle": 3}),
        newly("region.points", region={"points": []}),
        newly("region.points[1]", region={"points": [[0, 0], [1, 2, 3]]}),
        newly("region.points[0][1]", region={"points": [[0, "0"]]}),
        newly("region.turn", region={"points": [[0, 0]], "turn": 3601}),
        newly("region.scale", region={"points": [[0, 0]], "scale": 0}),
        newly("grid", region={"points": [[0, 0]]}, grid={"columns": 2, "rows": 1, "dx": 1, "dy": 1}),
        case("tracks", base(track(grid={"columns": 1000, "rows": 1000, "dx": 1, "dy": 1}))),
    ]


def rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 5) + 0.0


def main() -> None:
    valid = []
    for name, document in valid_documents().items():
        points, visibility = sampled(document)
        valid.append({"name": name, "document": document, "points": points, "visibility": visibility})
    for file, value in (
        ("curves.json", {"tolerance_px": 0.01, "cases": curve_cases()}),
        ("documents.json", {"tolerance_px": 0.01, "valid": valid, "invalid": invalid_documents()}),
    ):
        (HERE / file).write_text(json.dumps(value, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
