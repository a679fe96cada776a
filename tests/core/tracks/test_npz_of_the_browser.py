"""TRACKS npz between Python and the browser's js/track_editor/io/npz.js, run in node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from motionstream_core.tracks import Canvas, Tracks, load_npz, parse_document, save_npz

ROOT = Path(__file__).parents[3]
CASES = json.loads((ROOT / "tests" / "data" / "documents.json").read_text("utf-8"))["valid"]
DOCUMENT = next(case["document"] for case in CASES if case["name"] == "occluded twice")

WRITE = """
import { writeFileSync } from "node:fs";
import { toNpz } from "./js/track_editor/io/npz.js";
writeFileSync(process.argv[1], toNpz(JSON.parse(process.argv[2])));
"""
READ = """
import { readFileSync } from "node:fs";
import { fromNpz } from "./js/track_editor/io/npz.js";
import { sampleDocument } from "./js/track_editor/document/sampling.js";
const canvas = JSON.parse(process.argv[2]);
const bytes = readFileSync(process.argv[1]);
const shapes = await fromNpz(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), canvas);
const tracks = shapes.map((shape, i) => ({ id: `t${i}`, ...shape }));
console.log(JSON.stringify(sampleDocument({ canvas, tracks })));
"""

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def node(script: str, *arguments: str) -> str:
    command = ["node", "--input-type=module", "-e", script, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_reads_what_the_browser_writes(tmp_path: Path) -> None:
    node(WRITE, str(tmp_path / "a.npz"), json.dumps(DOCUMENT))
    read = load_npz(tmp_path / "a.npz")
    expected = parse_document(json.dumps(DOCUMENT), Canvas(1, 1, 1, 1)).sample()
    assert (read.height, read.width) == (expected.height, expected.width)
    assert (read.points - expected.points).abs().max() < 0.01
    assert torch.equal(read.visibility, expected.visibility)


def test_the_browser_reads_what_python_writes(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    points = (torch.rand(25, 4, 2, generator=generator) * 100).cumsum(dim=0) / 10
    visibility = torch.rand(25, 4, generator=generator) > 0.3
    points[:, 3] = torch.tensor([7.0, 9.0])  # one at rest
    save_npz(Tracks(points, visibility, 200, 320), tmp_path / "b.npz")
    canvas = {"width": 640, "height": 200, "num_frames": 25, "fps": 16}
    sampled = json.loads(node(READ, str(tmp_path / "b.npz"), json.dumps(canvas)))
    seen = np.array([[sample["v"] for sample in path] for path in sampled], dtype=bool).T
    assert np.array_equal(seen, visibility.numpy())
    found = np.array([[[sample["x"] / 2, sample["y"]] for sample in path] for path in sampled]).swapaxes(0, 1)
    assert np.abs(found - points.numpy())[seen].max() < 0.02
