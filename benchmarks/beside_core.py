"""A student's stream beside core's SamplerARVideo: the same weights, the same noise, block by block, in one process.

Called by `benchmarks.stream`; itself run by ComfyUI's Python: COMFYUI_PYTHON benchmarks/beside_core.py COMFYUI_PATH
--chunks 60
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MARK = "BESIDE CORE "
# On a GPU the published model's own sizes; on a CPU its proportions.
SIZES = {
    "cuda": {"dim": 1536, "ffn_dim": 8960, "num_heads": 12, "num_layers": 30, "frame_size": (480, 832), "words": 512},
    "cpu": {"dim": 256, "ffn_dim": 1536, "num_heads": 2, "num_layers": 4, "frame_size": (128, 128), "words": 32},
}
SAME_BLOCKS = 3  # until here a sink and a window of a chunk each hold all that was before
ALLOWED = {"cuda": 0.05, "cpu": 1e-4}
SEED = 7


def beside_core(checkout: Path, num_chunks: int) -> dict[str, Any]:
    """What ComfyUI's Python measured. Raises RuntimeError with its last words where it failed."""
    return told_by(os.environ.get("COMFYUI_PYTHON", sys.executable), Path(__file__), checkout, num_chunks)


def told_by(python: str, script: Path, checkout: Path, num_chunks: int) -> dict[str, Any]:
    """What such a script prints behind MARK, in a process of its own. Raises RuntimeError where it failed."""
    command = [python, str(script.resolve()), str(checkout.resolve()), "--chunks", str(num_chunks)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if not lines:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return json.loads(lines[0].removeprefix(MARK))


def main() -> None:
    """Measure inside the host."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--chunks", type=int, default=60)
    args = parser.parse_args()
    import torch

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    _enter(args.checkout, kind)
    with torch.inference_mode():
        print(MARK + json.dumps(compared(torch.device(kind), args.chunks)))


def _enter(checkout: Path, kind: str) -> None:
    """Make core importable, and the pack's own packages behind it."""
    sys.argv = ["main.py", *(["--cpu"] if kind == "cpu" else [])]  # what ComfyUI reads
    sys.path.insert(0, str(checkout))
    options = importlib.import_module("comfy.options")
    importlib.import_module("utils.install_util")  # before another `utils` comes onto the path
    options.enable_args_parsing()
    sys.path.append(str(ROOT))


def compared(device: Any, num_chunks: int) -> dict[str, Any]:
    """Seconds of both. Raises RuntimeError where the first blocks, before any is forgotten, are not the same."""
    loaded, text, noise = given(device, num_chunks)
    spec, core = loaded.spec, _core(loaded)  # takes its weights before ours go to the device
    ours, our_s = streamed(loaded, text, noise.to(device))
    theirs, core_s = _sampled(core, spec, text, noise)
    same = slice(0, SAME_BLOCKS * spec.chunk_plan.chunk_frames)
    apart = float((ours[:, :, same].cpu() - theirs[:, :, same].cpu()).norm() / theirs[:, :, same].norm().cpu())
    if not apart < ALLOWED[device.type]:
        raise RuntimeError(f"the first {SAME_BLOCKS} blocks differ by {apart:.2g} of their size: not the same model")
    seconds = {"ours": our_s, "core": core_s}
    return {"about": about(spec, device, num_chunks), "first blocks differ by": apart, "seconds": seconds} | {
        name: told(each) for name, each in seconds.items()
    }


def given(device: Any, num_chunks: int) -> tuple[Any, Any, Any]:
    """A model of random weights, its text (b l d) and its noise (b c f h w), on the CPU."""
    import torch

    from benchmarks.measure.models import random_model

    spec = _spec(device.type)
    loaded = random_model(spec, torch.device("cpu"), torch.bfloat16 if device.type == "cuda" else torch.float32)
    generator = torch.Generator().manual_seed(1)
    text = torch.randn(1, spec.backbone.text_len, spec.backbone.text_dim, generator=generator)
    cells = (side // spec.vae_stride.space for side in spec.frame_size)
    shape = (1, spec.backbone.out_channels, num_chunks * spec.chunk_plan.chunk_frames, *cells)
    return loaded, text, torch.randn(shape, generator=generator)


def about(spec: Any, device: Any, num_chunks: int) -> str:
    """What was run, in words."""
    import torch

    height, width = spec.frame_size
    return (
        f"{spec.backbone.num_layers} blocks of width {spec.backbone.dim}, {width}x{height}, {num_chunks} chunks of "
        f"{spec.chunk_plan.chunk_frames} latent frames in {len(spec.step_list)} steps, sink {spec.sink_frames}, window "
        f"{spec.window_frames}; {device.type}, torch {torch.__version__}, {torch.get_num_threads()} threads"
    )


def _spec(kind: str) -> Any:
    """Self-Forcing's, with the paper's sink and window of a chunk each."""
    from motionstream_core.checkpoints.families import BY_KEY

    spec, sizes = BY_KEY["self_forcing"].spec, dict(SIZES[kind])
    frame_size, words = sizes.pop("frame_size"), sizes.pop("words")
    backbone = dataclasses.replace(spec.backbone, text_len=words, **sizes)
    return dataclasses.replace(spec, backbone=backbone, frame_size=frame_size, window_frames=3)


def _core(loaded: Any) -> Any:
    """Core's own causal model with the same weights."""
    import comfy.sd

    weights = {name: each.clone() for name, each in loaded.model.state_dict().items()}
    told = {"config": json.dumps({"transformer": {"causal_ar": True}})}
    options = {"dtype": loaded.model.placement[1]}
    return comfy.sd.load_diffusion_model_state_dict(weights, model_options=options, metadata=told)


def fresh(like: Any, chunk: int, step: int) -> Any:
    """Noise before a chunk's step 1, 2, ..., seeded as core seeds it."""
    import torch

    torch.manual_seed(SEED + chunk * 1000 + step - 1)
    return torch.randn_like(like)


def streamed(loaded: Any, text: Any, noise: Any) -> tuple[Any, list[float]]:
    """Latents and seconds of every chunk by our chunk loop."""
    import torch

    from motionstream_core.diffusion.schedule import student_sigmas
    from motionstream_core.streaming.conditions import KnownTracks, StreamConditions
    from motionstream_core.streaming.rollout import rollout
    from motionstream_core.streaming.stream import StreamSettings, stream_cache
    from motionstream_core.tracks import Tracks

    spec, model = loaded.spec, loaded.model.to(noise.device)
    device, dtype = model.placement
    context = model.prepare_context(text.to(device, dtype))
    tracks = KnownTracks(Tracks.empty(1, *spec.frame_size))
    conditions = StreamConditions(model, spec, context, tracks, frame_size=spec.frame_size)

    def drawn(chunk: Any, step: int) -> Any:
        part = noise[:, :, chunk.start : chunk.stop]
        return (fresh(part, chunk.index, step) if step else part).to(dtype)

    chunks = rollout(
        model,
        spec.layout,
        conditions,
        plan=spec.chunk_plan,
        sigmas=student_sigmas(spec.step_list, spec.shift),
        cache=stream_cache(loaded, conditions.latent_size, StreamSettings()),
        noise=drawn,
        num_latent_frames=noise.shape[2],
    )
    moments, parts = [now(device)], []
    for rolled in chunks:
        moments.append(now(device))
        parts.append(rolled.latents.float())
    return torch.cat(parts, dim=2), between(moments)


def _sampled(core: Any, spec: Any, text: Any, noise: Any) -> tuple[Any, list[float]]:
    """Latents and seconds of every block by core's sampler."""
    import comfy.samplers
    import torch

    from motionstream_core.diffusion.schedule import student_sigmas

    sigmas, moments = student_sigmas(spec.step_list, spec.shift), []
    guider = comfy.samplers.CFGGuider(core)
    guider.inner_set_conds({"positive": [[text, {}]]})
    sampler = comfy.samplers.ksampler("ar_video", {"num_frame_per_block": spec.chunk_plan.chunk_frames})

    def after_step(*_: Any) -> None:
        moments.append(now(core.load_device))

    begun = now(core.load_device)
    latents = guider.sample(
        noise, torch.zeros_like(noise), sampler, sigmas, callback=after_step, disable_pbar=True, seed=SEED
    )
    last_steps = moments[len(spec.step_list) - 1 :: len(spec.step_list)]
    return core.model.process_latent_in(latents).float(), between([begun, *last_steps])


def now(device: Any) -> float:
    """Seconds; with one thread of a CPU the processor's own, since others may share it."""
    import torch

    if device.type == "cpu" and torch.get_num_threads() == 1:
        return time.process_time()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def between(moments: list[float]) -> list[float]:
    """From one block's last step to the next one's: its steps, and the cache pass of the one before."""
    return [round(ended - begun, 5) for begun, ended in itertools.pairwise(moments)]


def told(seconds: list[float]) -> dict[str, float]:
    """The first block, which loads and chooses, is left out."""
    steady = seconds[1:]
    tenth = max(1, len(steady) // 10)
    first, last = statistics.median(steady[:tenth]), statistics.median(steady[-tenth:])
    return {
        "seconds, all but the first chunk": sum(steady),
        "seconds a chunk, first tenth": first,
        "seconds a chunk, last tenth": last,
        "last tenth / first": last / first,
    }


if __name__ == "__main__":
    main()
