"""A full-size Track-v0 with random weights through the Student Streamer node, inside ComfyUI: seconds and memory.

COMFYUI_PYTHON benchmarks/full_size_in_host.py COMFYUI_PATH [--width 832 --height 480 --chunks 3] [-- ComfyUI's options]

Without a GPU give a small size: --width 128 --height 128 --chunks 1 -- --cpu. Random weights cost what trained ones do.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.util
import resource
import sys
import time
import types
from pathlib import Path
from typing import Any

PACK = Path(__file__).resolve().parents[1]
NAME = "motionstream_full_size"


def arguments() -> argparse.Namespace:
    own, _, host = " ".join(sys.argv[1:]).partition(" -- ")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("comfyui", type=Path, help="a ComfyUI checkout")
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--chunks", type=int, default=3, help="generated chunks of 12 frames, after the first one")
    args = parser.parse_args(own.split())
    sys.argv = ["main.py", *host.split()]  # what ComfyUI reads
    return args


def load_pack(checkout: Path) -> None:
    """Import the pack as ComfyUI does, under NAME."""
    sys.path.insert(0, str(checkout))
    options = importlib.import_module("comfy.options")
    importlib.import_module("utils.install_util")  # before another `utils` comes onto the path
    options.enable_args_parsing()
    spec = importlib.util.spec_from_file_location(NAME, PACK / "__init__.py", submodule_search_locations=[str(PACK)])
    assert spec is not None and spec.loader is not None
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])


def module(name: str) -> Any:
    return importlib.import_module(f"{NAME}.{name}")


def random_weights(model: Any, generator: Any) -> Any:
    """Fill a model that was built on meta, in bf16."""
    import torch

    model = model.to_empty(device="cpu")
    for name, parameter in model.named_parameters():
        parameter.data = torch.empty(parameter.shape, dtype=torch.bfloat16)
        if "norm" in name and name.endswith("weight"):
            parameter.data.fill_(1)
        else:
            parameter.data.normal_(0, 0.02, generator=generator)
    return model.eval().requires_grad_(False)


def main() -> None:
    args = arguments()
    load_pack(args.comfyui)
    import comfy.model_management as mm  # pyright: ignore[reportMissingImports]
    import torch

    importlib.import_module("server").PromptServer.instance = None  # no server: nobody to send a preview to
    checkpoints, native = module("motionstream_core.checkpoints"), module("nodes.host.network")
    spec = module("motionstream_core.checkpoints.families").BY_KEY["track_v0"].spec
    vae_module, vaes = module("motionstream_core.models.vae.tiny_vae"), module("nodes.host.vae")
    stream = module("nodes.streaming.streamer")
    generator = torch.Generator().manual_seed(0)
    started = time.perf_counter()
    with torch.device("meta"):
        empty = checkpoints.build_model(spec)
    count = sum(parameter.numel() for parameter in empty.parameters())
    loaded = checkpoints.LoadedModel(random_weights(empty, generator), spec)
    model = native.host_model(loaded, "Track-v0 with random weights", torch.bfloat16)
    config = dataclasses.replace(vae_module.TAEW2_1, encoder_lookahead=False)
    vae = vaes.StreamVae(vae_module.TinyVae(config).eval().requires_grad_(False), "a causal taew2_1, random")
    length = 1 + 12 * args.chunks
    points = torch.rand(length, 100, 2, generator=generator) * torch.tensor([args.width, args.height])
    tracks = {"track_path": points, "track_visibility": torch.ones(length, 100, dtype=torch.bool)}
    text = torch.randn(1, spec.backbone.text_len, spec.backbone.text_dim, generator=generator)
    seen = types.SimpleNamespace(penultimate_hidden_states=torch.randn(1, 257, 1280, generator=generator))
    image = torch.rand(1, args.height, args.width, 3, generator=generator)
    print(f"{count / 1e9:.2f} billion parameters, made in {time.perf_counter() - started:.0f} s")
    output = stream.MotionStreamStudentStreamer.execute(
        model=model,
        vae=vae,
        prompt="",
        image=image,
        motion=tracks,
        positive=[[text, {}]],
        clip_vision_output=seen,
        width=args.width,
        height=args.height,
        length=length,
        fit="crop",
        seed=0,
        sink_frames=-1,
        window_frames=-1,
        steps=-1,
    )
    device = mm.get_torch_device()
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    frames, _, report, *_ = output.args
    assert frames.shape == (length, args.height, args.width, 3) and bool(frames.isfinite().all())
    print(report)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{where}, torch {torch.__version__}; process {peak_gib:.1f} GiB at most")


if __name__ == "__main__":
    main()
