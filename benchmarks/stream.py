"""How fast a stream is, stage by stage, and whether it stays so: a table, a JSON and a picture.

python -m benchmarks.stream [--model 1.3b 5b] [--layout c3s1w1 c1s1w1] [--chunks 60] [--out outputs/bench]

Models: pictures and shapes, the bundled ones; 1.3b (832x480) and 5b (1280x704), of random weights, with --narrow
narrow and for small frames. Every combination of what is given is measured. A layout c3s1w1 is a chunk of three latent
frames, a sink and a window of one chunk each. Other code is measured beside it where a checkout is named: ComfyUI's own
autoregressive sampler (COMFYUI_PATH, and COMFYUI_PYTHON its Python), Self-Forcing's pipeline (SELF_FORCING_PATH).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from benchmarks.beside_core import beside_core
from benchmarks.beside_self_forcing import beside_self_forcing
from benchmarks.measure.counted import Shape, stage_costs
from benchmarks.measure.machine import device_about, versions
from benchmarks.measure.measured import measured, with_costs
from benchmarks.measure.models import (
    Stream,
    bundled_stream,
    full_vae,
    preset_spec,
    random_stream,
    tiny_vae,
    with_options,
)
from benchmarks.measure.picture import drawn
from benchmarks.measure.timing import copy_rate, product_rate
from motionstream_core.checkpoints import ModelSpec
from motionstream_core.models.fp8 import Arithmetic
from motionstream_core.streaming.stream import StreamSettings, named, step_list

BUNDLED = ("pictures", "shapes")
PRESETS = {"1.3b": "wan2.1-1.3b", "5b": "wan2.2-5b"}
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
LAYOUT = re.compile(r"c(\d+)s(\d+)w(\d+)")
BESIDE = {"core": ("COMFYUI_PATH", beside_core), "Self-Forcing": ("SELF_FORCING_PATH", beside_self_forcing)}
COPY_BYTES = {"cuda": 2**31, "cpu": 2**27}


@dataclass(frozen=True)
class Layout:
    """Latent frames: of a chunk, of the sink, of the window."""

    chunk: int
    sink: int
    window: int

    @classmethod
    def parse(cls, text: str) -> Layout:
        """As the paper writes it. Raises ValueError for another form."""
        found = LAYOUT.fullmatch(text)
        if found is None or found[1] == "0":
            raise ValueError(f"{text!r} is no layout; write it as c3s1w1")
        chunk, sink, window = (int(each) for each in found.groups())
        return cls(chunk, sink * chunk, window * chunk)


@dataclass(frozen=True)
class Case:
    """What is measured; None: as the model was made."""

    model: str
    layout: str | None
    steps: int | None
    vae: str
    dtype: str
    arithmetic: Arithmetic = "plain"
    compiled: bool = False

    def settings(self, spec: ModelSpec) -> StreamSettings:
        """Sink, window and steps."""
        layout = None if self.layout is None else Layout.parse(self.layout)
        sink, window = (None, None) if layout is None else (layout.sink, layout.window)
        return StreamSettings(0, sink, window, None if self.steps is None else step_list(spec, self.steps))

    def stream(self, device: torch.device, num_chunks: int, narrow: bool) -> Stream:
        """The stream itself. Raises ValueError for a full VAE of a model that has none, or fp8 where it cannot be."""
        return with_options(self._plain_stream(device, num_chunks, narrow), self.arithmetic, self.compiled)

    def _plain_stream(self, device: torch.device, num_chunks: int, narrow: bool) -> Stream:
        chunk = None if self.layout is None else Layout.parse(self.layout).chunk
        dtype = DTYPES[self.dtype]
        if self.model in BUNDLED:
            if self.vae == "full":
                raise ValueError(f"--vae full: {self.model} has a latent space of its own, with a tiny VAE alone")
            return bundled_stream(self.model, device, dtype, chunk)
        spec = preset_spec(PRESETS[self.model], narrow).with_chunks(chunk)
        if self.vae == "full":
            vae = full_vae(spec, dtype, str(device), narrow)
        else:
            vae = tiny_vae(spec, narrow).to(device)
        return random_stream(spec, vae, device, dtype, num_chunks)


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    args = parsed(device, given)
    if args.draw is not None:
        print(f"picture: {drawn(json.loads(args.draw.read_text('utf-8')), args.draw.with_suffix('.png'))}")
        return
    results: dict[str, Any] = {"device": device_about(device), "versions": versions(), "cases": []}
    results["memory TB/s"] = round(copy_rate(device, COPY_BYTES[device.type]), 4)
    print(f"{results['device']}, torch {torch.__version__}, commit {results['versions']['commit']}")
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "stream.json"
    try:
        for case in _cases(args):
            results["cases"].append(told := run(case, device, args.chunks, args.narrow))
            print("\n".join(table(told)), flush=True)
            path.write_text(json.dumps(results, indent=1), "utf-8")
    except (ModuleNotFoundError, ValueError) as error:
        raise SystemExit(f"benchmarks.stream: {error}") from None
    for name, (variable, measure) in BESIDE.items():
        if os.environ.get(variable):
            results[f"beside {name}"] = told = measure(Path(os.environ[variable]), args.chunks)
            print("\n".join(beside_table(told, name)))
            path.write_text(json.dumps(results, indent=1), "utf-8")
    print(f"results: {path}")
    try:
        print(f"picture: {drawn(results, args.out / 'stream.png')}")
    except ModuleNotFoundError as error:
        print(f"no picture ({error}); elsewhere: python -m benchmarks.stream --draw {path.name}")


def run(case: Case, device: torch.device, num_chunks: int, narrow: bool = False) -> dict[str, Any]:
    """One case, measured and set beside its arithmetic. narrow: a rehearsal of the models of random weights."""
    stream = case.stream(device, num_chunks, narrow)
    spec, settings = stream.loaded.spec, case.settings(stream.loaded.spec)
    told = measured(stream, device, num_chunks, settings)
    backbone, (height, width) = spec.backbone, spec.frame_size
    cell = spec.vae_stride.space * backbone.patch[1]
    tokens = spec.chunk_plan.chunk_frames * (height // cell) * (width // cell)
    rate = product_rate(device, (tokens, backbone.dim, backbone.ffn_dim), DTYPES[case.dtype])
    steps = named(settings, stream.loaded).step_list or ()
    costs = stage_costs(Shape(spec, stream.vae, settings, DTYPES[case.dtype], case.arithmetic))
    about = vars(case) | {"size": f"{width}x{height}", "chunks": num_chunks, "matrix TFLOP/s": float(f"{rate:.4g}")}
    return about | with_costs(told, costs, len(steps), rate)


def table(told: dict[str, Any]) -> list[str]:
    """A case in Markdown."""
    names = [told["model"], told["size"], told["layout"], told["steps"] and f"{told['steps']} steps"]
    names += [f"{told['vae']} VAE", told["dtype"], told["arithmetic"] != "plain" and told["arithmetic"]]
    what = ", ".join(str(each) for each in [*names, told["compiled"] and "compiled"] if each)
    latency = told["boundary to picture ms"]
    lines = [
        "",
        f"**{what}**: {told['frames a second']} frames a second, chunk boundary to picture {latency['median']} ms (p95 "
        f"{latency['p95']}), first frame after {told['first frame ms']} ms, last tenth of {told['chunks']} chunks / "
        f"first {told['drift']}, peak {told['peak GiB']} GiB, matrix product {told['matrix TFLOP/s']} TFLOP/s",
        "",
        "| | median ms | p95 ms | TFLOP | TFLOP/s | share of the floor |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in {**told["stages"], f"chunk of {told['frames a chunk']} frames": told["chunk ms"]}.items():
        figures = (each["median"], each["p95"], f"{each['TFLOP']:.4g}", each["TFLOP/s"], each["share of the floor"])
        lines.append(f"| {name} | {' | '.join(map(str, figures))} |")
    return lines


def beside_table(told: dict[str, Any], name: str) -> list[str]:
    """Beside another code, in Markdown."""
    lines = [
        "",
        f"**Beside {name}** ({told['about']})",
        "",
        f"| | ours | {name} | {name} / ours |",
        "|---|---|---|---|",
    ]
    for what, ours in told["ours"].items():
        theirs = told[name][what]
        lines.append(f"| {what} | {ours:.4g} | {theirs:.4g} | {theirs / ours:.2f} |")
    return lines


def _cases(args: argparse.Namespace) -> list[Case]:
    asked = (args.model, args.layout, args.steps, args.vae, args.dtype, args.arithmetic)
    return [Case(*each, compiled=args.compiled) for each in itertools.product(*asked)]


def parsed(device: torch.device, given: Sequence[str] | None) -> argparse.Namespace:
    """The command's options, by default what suits the device."""
    on_gpu = device.type == "cuda"
    about = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream", description=__doc__, formatter_class=about)
    models = ["1.3b", "5b"] if on_gpu else ["pictures", "shapes"]
    parser.add_argument("--model", nargs="+", choices=[*BUNDLED, *PRESETS], default=models)
    parser.add_argument("--layout", nargs="+", default=[None], help="c1s1w1 to c7s1w1, and others")
    parser.add_argument("--steps", nargs="+", type=int, default=[None], help="denoise steps of a chunk")
    parser.add_argument("--vae", nargs="+", choices=("tiny", "full"), default=["tiny"])
    parser.add_argument("--dtype", nargs="+", choices=list(DTYPES), default=["bf16" if on_gpu else "fp32"])
    parser.add_argument("--arithmetic", nargs="+", choices=get_args(Arithmetic), default=["plain"])
    parser.add_argument("--compile", dest="compiled", action="store_true", help="the transformer's blocks")
    parser.add_argument("--narrow", action="store_true", help="1.3b and 5b as a rehearsal; their times mean nothing")
    parser.add_argument("--chunks", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("outputs/bench"), help="a folder")
    parser.add_argument("--draw", type=Path, metavar="JSON", help="only draw what another machine measured")
    args = parser.parse_args(given)
    if args.chunks < 4:
        parser.error(f"--chunks is {args.chunks}; at least 4 are needed to see a steady one")
    for layout in filter(None, args.layout):
        try:
            Layout.parse(layout)
        except ValueError as error:
            parser.error(f"--layout: {error}")
    return args


if __name__ == "__main__":
    main()
