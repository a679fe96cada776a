"""Manifests as people write them, and everything that is wrong with one, at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from motionstream_core.batch.manifest import ManifestError, Row, read_manifest


def written(folder: Path, content: str | bytes, name: str = "jobs.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def faults(path: Path) -> list[str]:
    with pytest.raises(ManifestError) as raised:
        read_manifest(path)
    return raised.value.faults


def test_csv(tmp_path: Path) -> None:
    text = 'job_id,prompt,Streamer.seed\r\nshots/a,"a ball, red\nand blue",7\r\n\r\nb, ,\r\n'
    expected = [Row(1, "shots/a", {"prompt": "a ball, red\nand blue", "Streamer.seed": "7"}), Row(2, "b", {})]
    assert read_manifest(written(tmp_path, text)) == expected
    assert read_manifest(written(tmp_path, text.encode("utf-16"))) == expected
    assert read_manifest(written(tmp_path, b"\xef\xbb\xbf" + text.encode())) == expected


def test_jsonl(tmp_path: Path) -> None:
    lines = [{"job_id": 7, "seed": 2**60, "prompt": "a\u2028b", "image": None}, {"job_id": "b", "x.flag": False}]
    text = "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    rows = read_manifest(written(tmp_path, text, "jobs.jsonl"))
    assert rows == [Row(1, "7", {"seed": 2**60, "prompt": "a\u2028b"}), Row(2, "b", {"x.flag": False})]


def test_every_fault_at_once(tmp_path: Path) -> None:
    text = "job_id,seed\na,1\n,2\nA,3\n../b,4\nc\nd,5\n"
    found = faults(written(tmp_path, text))
    assert [fault.split(":")[0] for fault in found] == ["row 2", "row 3", "row 4", "row 5"]
    assert "job_id is missing" in found[0]
    assert "is that of row 1 too" in found[1]
    assert "cannot be used" in found[2]
    assert "1 cells, but the first line names 2" in found[3]


def test_every_fault_of_jsonl(tmp_path: Path) -> None:
    text = '{"job_id": "a"}\n{"job_id": \n[1]\n{"job_id": true}\n{"job_id": "a"}\n' + "[" * 100_000
    found = faults(written(tmp_path, text, "jobs.jsonl"))
    assert sorted(fault.split(":")[0] for fault in found) == ["row 2", "row 3", "row 4", "row 5", "row 6"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no rows"),
        ("job_id,seed\n", "no rows"),
        ("job_id,seed,seed\na,1,2\n", "'seed'"),
        ("job_id,\na,1\n", "a name of its own"),
        ('job_id\n"a', "no CSV"),
    ],
)
def test_broken_tables(content: str, says: str, tmp_path: Path) -> None:
    assert says in faults(written(tmp_path, content))[0]


def test_what_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in \.csv or \.jsonl"):
        read_manifest(written(tmp_path, "job_id\na\n", "jobs.txt"))
    with pytest.raises(ValueError, match="zero bytes"):
        read_manifest(written(tmp_path, b"job_id\na\0\n"))
    with pytest.raises(FileNotFoundError):
        read_manifest(tmp_path / "none.csv")
