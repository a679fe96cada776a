"""A student's stream beside guandeh17/Self-Forcing's own pipeline: the same weights, noise and window, in one process.

Called by `benchmarks.stream`, which needs diffusers for it: python benchmarks/beside_self_forcing.py SELF_FORCING_PATH
--chunks 60. Replaced from this side: its encoders, which are not called; the sizes that its pipeline holds as constants
(30 blocks, 1560 tokens a frame, 12 heads); and, where flash-attn is not installed, attention, by PyTorch's: its own
fallback rounds to bf16, and its text's has none.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import io
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.beside_core import ALLOWED, MARK, about, between, fresh, given, now, streamed, told, told_by

SAME_BLOCKS = 6  # the sink and the window are full after two
PACKAGES = ("wan", "wan.modules", "utils", "pipeline", "demo_utils")  # whose own __init__ asks for much else
UNUSED = ("wan.modules.tokenizers", "wan.modules.t5", "demo_utils.memory")


def beside_self_forcing(checkout: Path, num_chunks: int) -> dict[str, Any]:
    """What a process of its own measured. Raises RuntimeError with its last words where it failed."""
    return told_by(sys.executable, Path(__file__), checkout, num_chunks)


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--chunks", type=int, default=60)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.inference_mode():
        print(MARK + json.dumps(compared(args.checkout, device, args.chunks)))


def compared(checkout: Path, device: torch.device, num_chunks: int) -> dict[str, Any]:
    """Seconds of both. Raises RuntimeError where their first blocks are not the same."""
    loaded, text, noise = given(device, num_chunks)
    spec = dataclasses.replace(loaded.spec, rope_rule="absolute")  # as its own code counts positions
    loaded, weights = dataclasses.replace(loaded, spec=spec), _copied(loaded.model.state_dict())
    ours, our_s = streamed(loaded, text, noise.to(device))
    theirs, their_s = _run(_modules(checkout), spec, weights, text, noise, device)
    blocks = spec.chunk_plan.chunk_frames * SAME_BLOCKS
    first, their_first = ours[:, :, :blocks].cpu(), theirs[:, :, :blocks].cpu()
    apart = float((first - their_first).norm() / their_first.norm())
    if not apart < ALLOWED[device.type]:
        raise RuntimeError(f"the first {SAME_BLOCKS} blocks differ by {apart:.2g} of their size: not the same model")
    seconds = {"ours": our_s, "Self-Forcing": their_s}
    return {"about": about(spec, device, num_chunks), "first blocks differ by": apart, "seconds": seconds} | {
        name: told(each) for name, each in seconds.items()
    }


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: each.clone() for name, each in weights.items()}


def _modules(checkout: Path) -> SimpleNamespace:
    """Its pipeline, and the model's modules below it."""
    sys.path.insert(0, str(checkout.resolve()))
    for name in PACKAGES:
        module = sys.modules[name] = ModuleType(name)
        module.__path__ = [str(checkout.resolve().joinpath(*name.split(".")))]
    for name in UNUSED:
        sys.modules[name] = MagicMock()
    parts = {"pipeline": "pipeline.causal_inference", "wrapper": "utils.wan_wrapper"}
    parts |= {"causal": "wan.modules.causal_model", "model": "wan.modules.model"}
    found = SimpleNamespace(**{name: importlib.import_module(path) for name, path in parts.items()})
    if importlib.util.find_spec("flash_attn") is None:
        found.model.flash_attention = found.causal.attention = _attention
    return found


def _attention(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> Tensor:
    """(b l k d), as its own functions take them."""
    return F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)


def _run(
    modules: SimpleNamespace, spec: Any, weights: dict[str, Tensor], text: Tensor, noise: Tensor, device: torch.device
) -> tuple[Tensor, list[float]]:
    """Latents and seconds of every block by its CausalInferencePipeline."""
    dtype, num_steps = next(iter(weights.values())).dtype, len(spec.step_list)
    pipe = _pipeline(modules, spec, _generator(modules, spec, weights).to(device, dtype), text.to(device, dtype))
    draws = _draws(noise, spec, num_steps, device, dtype)
    moments: list[float] = [now(device)]
    pipe.generator.register_forward_hook(lambda *_: moments.append(now(device)))
    # theirs is (b f c h w) throughout, its fresh noise ((b f) c h w)
    start = noise.to(device, dtype).transpose(1, 2)
    with contextlib.redirect_stdout(io.StringIO()), patch.object(torch, "randn_like", lambda _: next(draws)):
        _, latents = pipe.inference(start, ["a prompt"], return_latents=True)
    # of a block's passes the last one is the clean one
    return latents.transpose(1, 2).float(), between([moments[0], *moments[num_steps :: num_steps + 1]])


def _draws(noise: Tensor, spec: Any, num_steps: int, device: torch.device, dtype: torch.dtype) -> Iterator[Tensor]:
    """Its fresh noise, step by step, as `streamed` draws it. Made beforehand: drawing is not what is measured."""
    made, size, randn_like = [], spec.chunk_plan.chunk_frames, torch.randn_like
    for chunk, step in itertools.product(range(noise.shape[2] // size), range(1, num_steps)):
        part = noise[:, :, chunk * size : (chunk + 1) * size].to(device)
        made.append(fresh(part, chunk, step).to(dtype).transpose(1, 2).flatten(0, 1))
    assert torch.randn_like is randn_like
    return iter(made)


def _generator(modules: SimpleNamespace, spec: Any, weights: dict[str, Tensor]) -> Any:
    """Its WanDiffusionWrapper around its causal model, with a sink and a window as long as ours."""
    own, frames = spec.backbone, spec.sink_frames + spec.window_frames + spec.chunk_plan.chunk_frames
    sizes = {name: getattr(own, name) for name in ("dim", "ffn_dim", "num_heads", "num_layers", "freq_dim", "text_dim")}
    model = modules.causal.CausalWanModel(
        local_attn_size=frames, sink_size=spec.sink_frames, text_len=own.text_len, **sizes
    )
    model.load_state_dict(weights)
    for block in model.blocks:
        block.self_attn.max_attention_size = frames * _frame_tokens(spec)
    with patch.object(modules.wrapper.CausalWanModel, "from_pretrained", lambda *_, **__: model):
        return modules.wrapper.WanDiffusionWrapper(timestep_shift=spec.shift, is_causal=True).eval()


def _pipeline(modules: SimpleNamespace, spec: Any, generator: Any, text: Tensor) -> Any:
    """Its pipeline, at this model's sizes."""
    options = SimpleNamespace(
        denoising_step_list=list(spec.step_list),
        warp_denoising_step=True,
        num_frame_per_block=spec.chunk_plan.chunk_frames,
        independent_first_frame=False,
        context_noise=0,
    )
    vae = SimpleNamespace(decode_to_pixel=lambda latents, use_cache: latents)
    with contextlib.redirect_stdout(io.StringIO()):
        pipe = modules.pipeline.CausalInferencePipeline(
            options, text.device, generator, lambda text_prompts: {"prompt_embeds": text}, vae
        )
    pipe.num_transformer_blocks, pipe.frame_seq_length = spec.backbone.num_layers, _frame_tokens(spec)

    def caches(length: int) -> list[dict[str, Any]]:
        def empty() -> Tensor:
            shape = (1, length, spec.backbone.num_heads, spec.backbone.head_dim)
            return torch.zeros(shape, dtype=text.dtype, device=text.device)

        def counter() -> Tensor:
            return torch.tensor([0], device=text.device)

        ends = ("global_end_index", "local_end_index")
        layers = range(spec.backbone.num_layers)
        return [{"k": empty(), "v": empty(), "is_init": False} | {end: counter() for end in ends} for _ in layers]

    pipe._initialize_kv_cache = lambda **_: setattr(
        pipe, "kv_cache1", caches(pipe.local_attn_size * pipe.frame_seq_length)
    )
    pipe._initialize_crossattn_cache = lambda **_: setattr(pipe, "crossattn_cache", caches(spec.backbone.text_len))
    return pipe


def _frame_tokens(spec: Any) -> int:
    cell = spec.vae_stride.space * spec.backbone.patch[1]
    height, width = spec.frame_size
    return (height // cell) * (width // cell)


if __name__ == "__main__":
    main()
