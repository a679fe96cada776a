"""Command lines that ask for what cannot be: each ends with one line and status 2."""

from __future__ import annotations

import contextlib
import io
import itertools
import tempfile
from pathlib import Path

from experiments.__main__ import main as study
from motionstream_core.__main__ import main
from motionstream_core.checkpoints.__main__ import main as checkpoints
from motionstream_core.demo.weights import TINY_VAE
from motionstream_core.evaluation.__main__ import main as evaluation
from motionstream_core.evaluation.tracking.__main__ import main as tracking

MAINS = {"": main, "checkpoints": checkpoints, "evaluation": evaluation, "tracking": tracking, "experiments": study}
BAD_DEVICES = (
    "foo",
    "",
    "meta",
    "cuda:99",
    "cuda:-1",
    "cuda",
    "mps",
    "cpu:x",
    "CPU ",
    "cpu\x00",
    "xpu",
    "cuda:" + "9" * 50,
)
BAD_NUMBERS = ("inf", "nan", "-1", "1e400", "", "x", "9" * 5000, "٣", "1_0", "0x10", "--")
BAD_SIZES = ("0x0", "-1x4", "4", "x", "99999x99999", "16x", "1e3x16", "९x९")
HUGE = "99999999999999999999"
BAD_NAMES = ("", "FP8", "fp8 ", "bf16", "plain,fp8", "a\x00b", "\udcff")
BAD_LISTS = ("", ",", "1,,2", "1 2", "1;2", "1-3", "-1", "1.5", "inf", HUGE, "9" * 5000, "٣", "1," * 2000)
BAD_FILES = ("/nowhere", "", "/", "/dev/null", "a\x00b", "\udcff", __file__)
CLIPS = str(Path(__file__).parents[2] / "js" / "picker" / "bundled")
"""A folder that holds one video, for options that are read after the clips are found."""


def lines() -> list[tuple[str, ...]]:
    """(which main, its arguments...)."""
    made: list[tuple[str, ...]] = [("", command) for command in ("", "nothing", "\x00", "rendér", "-x", "--render")]
    for command in ("render", "live", "demo"):
        made += [("", command, "--device", each) for each in BAD_DEVICES]
    made += [("", "evaluate", "/nowhere", "--device", each) for each in BAD_DEVICES[:3]]
    made += [("", "train", "teacher", "--device", each) for each in BAD_DEVICES[:3]]
    for command, option in (("render", "--memory"), ("render", "--frames"), ("demo", "--frames"), ("demo", "--seed")):
        made += [("", command, option, each) for each in BAD_NUMBERS]
    made += [("", "render", "--frames", HUGE), ("", "demo", "--frames", "99999999999"), ("", "demo", "--frames", "50")]
    made += [("", command, "--size", each) for command, each in itertools.product(("render", "live"), BAD_SIZES)]
    made += [("", "evaluate", "/nowhere", "--grid", each) for each in ("100000", "0", HUGE, "inf")]
    made += [
        ("", "live", option, each) for option in ("--port", "--chunk", "--live-steps") for each in ("-1", HUGE, "x")
    ]
    made += [("", "render", "--weights", "nan", "1"), ("", "render", "--steps", "0"), ("", "render", "--steps", HUGE)]
    made += [("", "render", option, "/nowhere/x") for option in ("--image", "--tracks", "--replay", "--model", "--vae")]
    made += [("", "render", option, "a\x00b") for option in ("--image", "--tracks", "--replay", "--model", "--out")]
    made += [("", "render", option, "\udcff") for option in ("--image", "--replay", "--model")]
    made += [
        ("", command, path)
        for command in ("inspect",)
        for path in ("/nowhere", "/", "/dev/null", "", "a\x00b", __file__)
    ]
    made += [("", "convert", "/nowhere", "/tmp/x", "--to", each) for each in ("original", "foo")]
    made += [
        ("checkpoints",),
        ("checkpoints", "inspect"),
        ("checkpoints", "inspect", "/nowhere"),
        ("checkpoints", "melt"),
    ]
    made += [("", "train", each) for each in ("", "foo", "estimate")]
    made += [
        ("", "train", "prepare", "--preset", "wan2.1-1.3b", "--part", each) for each in ("1", "a/b", HUGE + "/1", "/")
    ]
    made += [("", "train", "estimate", "--preset", "wan2.1-1.3b", "--gpus", each) for each in ("0", "-1", HUGE, "nan")]
    made += [
        ("evaluation", option, each) for option in ("--clips", "--jobs", "--minutes") for each in ("nan", "-1", HUGE)
    ]
    made += [("evaluation", "--weights", "/nowhere"), ("tracking", "--clips", "-1"), ("tracking", "--grid", "0", HUGE)]
    made += [("tracking", "--videos", "/nowhere.mp4"), ("tracking", "--videos", "/dev/null")]
    for command in ("render", "live"):
        made += [("", command, "--arithmetic", each) for each in BAD_NAMES]
        made += [("", command, "--arithmetic"), ("", command, "--compile=yes")]
    made += _evaluations() + _vaes()
    made += [
        ("experiments",),
        ("experiments", "foo"),
        ("experiments", "train", "foo"),
        ("experiments", "all", "--seeds", "x"),
    ]
    return made


def _evaluations() -> list[tuple[str, ...]]:
    """What `evaluate` is asked beside its clips."""
    made: list[tuple[str, ...]] = []
    for option in ("--chunks", "--sinks", "--windows"):
        made += [(option, each) for each in (*BAD_LISTS, "101")]
    made += [("--chunks", "0"), ("--sinks", "0", "--windows", "0"), ("--sinks", "0,0", "--windows", "0")]
    made += [("--fvd", each) for each in BAD_FILES]
    made += [("--vbench", each) for each in ("", ",", "all,all", "i2v_subject,,", "I2V_SUBJECT", "a\x00b", "\udcff")]
    made += [("--arithmetic", each) for each in BAD_NAMES]
    made += [("--compile=yes",), ("--fvd",), ("--vbench",), ("--chunks",)]
    return [("", "evaluate", CLIPS, *each) for each in made]


def _vaes() -> list[tuple[str, ...]]:
    """What `vaes` is asked."""
    tiny = str(TINY_VAE)
    made: list[tuple[str, ...]] = [(CLIPS,), (CLIPS, "--vae")]
    made += [(each, "--vae", tiny) for each in BAD_FILES if each != "/"]  # a search of the whole disk
    made += [(CLIPS, "--vae", each) for each in BAD_FILES]
    beside = [(option, each) for option in ("--encoder", "--lpips") for each in BAD_FILES]
    beside += [("--size", each) for each in BAD_SIZES]
    beside += [(option, each) for option in ("--frames", "--clips") for each in (*BAD_NUMBERS, "0")]
    beside += [("--device", each) for each in BAD_DEVICES]
    beside += [("--split", each) for each in ("", "../x", "a\x00b")]
    beside += [("--csv", each) for each in ("/", "/nowhere/x\x00", "a\x00b", "")]
    return [("", "vaes", *each) for each in made] + [("", "vaes", CLIPS, "--vae", tiny, *each) for each in beside]


def try_line(line: tuple[str, ...]) -> str | None:
    """Run it in an empty folder; the status must be 2, with one line on stderr and no traceback."""
    out, err = io.StringIO(), io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = MAINS[line[0]](list(line[1:]))
        left = [each for each in Path(folder).rglob("*") if each.is_file()]
    said = err.getvalue()
    if status == 0 and not any(line[1:]):
        return None  # the list of commands
    if status != 2 or len(said.splitlines()) != 1 or "Traceback" in said or "Error:" in said:
        raise AssertionError(f"status {status}, stderr {said[-300:]!r}")
    if left:
        return f"it left {left}"
    raise ValueError(said)  # refused, as it is due
