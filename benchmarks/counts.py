"""What a chunk costs at full size, counted without a GPU: the tables of docs/performance.md.

python -m benchmarks.counts [--write]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.measure.cost import Cost
from benchmarks.measure.counted import Held, Shape, decode_cost, held_bytes, stage_costs
from benchmarks.measure.models import full_vae, preset_spec, tiny_vae
from benchmarks.measure.stages import CACHE_PASS, CONDITIONS, DECODE, STEP
from motionstream_core.checkpoints import ModelSpec

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- python -m benchmarks.counts --write -->", "<!-- end of what it wrote -->"
MODELS = {"1.3B, 832x480": "wan2.1-1.3b", "5B, 1280x704": "wan2.2-5b"}
# A large bf16 matrix product as measured on an H200, and what its memory moves by its data sheet.
TFLOP_S, TB_S = 790.0, 4.8


def main() -> None:
    """Print the tables, or write them into their page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counts", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}, between its marks")
    args = parser.parse_args()
    text = tables()
    if args.write:
        PAGE.write_text(written(PAGE.read_text("utf-8"), text), "utf-8")
    else:
        print(text)


def tables() -> str:
    """Both tables, for the torch that is installed: it decides which operations there are."""
    version = ".".join(torch.__version__.split(".")[:2])
    return "\n".join([f"Counted with torch {version}.", "", *costs(), "", *memory()])


def written(page: str, text: str) -> str:
    """The page with `text` between its marks. Raises ValueError where it has none."""
    before, begun, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise ValueError(f"the page has no marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def costs() -> Iterator[str]:
    """A steady chunk of each model, stage by stage."""
    yield f"| a chunk of 12 frames | TFLOP | GB moved | operations | ms at {TFLOP_S:g} TFLOP/s | ms at {TB_S:g} TB/s |"
    yield "|---|---|---|---|---|---|"
    for name, preset in MODELS.items():
        spec = preset_spec(preset, tiny=False)
        shape = Shape(spec, tiny_vae(spec, tiny=False))
        found, layout = stage_costs(shape), layout_of(spec)
        yield _row(f"**{name}, {layout}, bf16**", [])
        yield _row("conditions", [found[CONDITIONS]])
        yield _row(f"{len(spec.step_list)} denoise steps", [found[STEP]])
        yield _row("cache pass", [found[CACHE_PASS]])
        yield _row("tiny VAE, fp32", [found[DECODE]])
        yield _row("all of these", list(found.values()))
        fp8 = stage_costs(replace(shape, arithmetic="fp8"))
        yield _row("*instead:* steps and cache pass with products in fp8", [fp8[STEP], fp8[CACHE_PASS]])
        half = replace(shape, vae=tiny_vae(spec, tiny=False).to(shape.dtype))
        yield _row("*instead:* tiny VAE, bf16", [decode_cost(half)])
        yield _row("*instead:* full VAE, bf16", [decode_cost(replace(shape, vae=full_vae(spec, shape.dtype)))])


def memory() -> Iterator[str]:
    """What a device holds."""
    yield "| held at the peak, GB | weights | cache, activations, decoding | together |"
    yield "|---|---|---|---|"
    for name, preset in MODELS.items():
        spec = preset_spec(preset, tiny=False)
        shape = Shape(spec, tiny_vae(spec, tiny=False))
        products = replace(shape, arithmetic="fp8")
        for how, held in (
            ("bf16", held_bytes(shape)),
            ("fp8", held_bytes(shape, fp8=True)),
            ("products in fp8", held_bytes(products)),
            ("offloaded", held_bytes(shape, offloaded=True)),
        ):
            yield _held(f"{name}, {how}", held)


def layout_of(spec: ModelSpec) -> str:
    """As the paper writes it: c3s1w1 for chunks of three latent frames, a sink and a window of one chunk each."""
    chunk = spec.chunk_plan.chunk_frames
    return f"c{chunk}s{spec.sink_frames / chunk:g}w{spec.window_frames / chunk:g}"


def _row(name: str, costs: Sequence[Cost]) -> str:
    if not costs:
        return f"| {name} | | | | | |"
    cost = sum(costs, Cost())
    figures = (cost.flop / 1e12, cost.bytes / 1e9, cost.flop_in_bf16 / 1e9 / TFLOP_S, cost.bytes / 1e9 / TB_S)
    tflop, gb, by_flop, by_bytes = (f"{each:.1f}" for each in figures)
    return f"| {name} | {tflop} | {gb} | {cost.ops:.0f} | {by_flop} | {by_bytes} |"


def _held(name: str, held: Held) -> str:
    weights, others, total = (f"{each / 1e9:.1f}" for each in (held.weights, held.others, held.total))
    return f"| {name} | {weights} | {others} | {total} |"


if __name__ == "__main__":
    main()
