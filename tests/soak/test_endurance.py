"""Twenty minutes of a stream, of which `python -m benchmarks.endurance` makes hours: nothing grows, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import endurance

pytestmark = pytest.mark.soak

MINUTES, FPS = 20, 16


def test_a_stream_of_twenty_minutes(tmp_path: Path) -> None:
    told = endurance.main([str(tmp_path), "--minutes", str(MINUTES)])
    assert told["file"]["frames"] == told["file"]["frames wanted"] >= MINUTES * 60 * FPS
    assert told["file"]["each at its time"]
    assert told["drift"]["MB a minute"] < 1
    assert (
        abs(told["drift"]["chunk beside a young one"]) < 0.1
    )  # of a few minutes: no better on a machine that others use
    for minute in ("first minute", "last minute"):
        assert told[minute]["things lost"] == 0 and told[minute]["px beside the way"] < 1
    assert (tmp_path / "pictures.png").is_file() and (tmp_path / "report.json").is_file()
