"""Seconds per chunk over a long stream of the bundled student, and peak memory: a table and a PNG.

python benchmarks/chunk_time.py [--chunks 100] [--out outputs/chunk_time.png]
python benchmarks/chunk_time.py --beside    # the student for pictures and that for shapes in turn, on the demo's clip
python benchmarks/chunk_time.py --bf16      # fp32, the decoder in bf16, and all but the encoder in bf16, in turn
"""

from __future__ import annotations

import argparse
import platform
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from motionstream_core.checkpoints import load_model, load_tiny_vae
from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import PHOTO_STUDENT, PHOTO_TINY_VAE, STUDENT, TINY_VAE
from motionstream_core.evaluation.world.report import frames_tensor
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.stream import stream_chunks

ROUNDS, DRAGGED_CHUNKS = 5, 4


def peak_memory_mib(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


@torch.inference_mode()
def measure(
    num_chunks: int,
    device: str,
    student: Path = STUDENT,
    tiny_vae: Path = TINY_VAE,
    dtypes: tuple[torch.dtype, torch.dtype] = (torch.float32, torch.float32),
) -> tuple[list[float], list[float]]:
    """Seconds and peak memory (MiB) after each generated chunk; the pinned first chunk is not counted.

    dtypes: of the transformer and of the decoder. With one thread of a CPU the seconds are the processor's own, since
    others may share it.
    """
    loaded, vae = load_model(student, dtypes[0]), load_tiny_vae(tiny_vae).decode_in(dtypes[1]).to(device)
    clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    loaded.model.to(device)
    example = drawn_example()
    image = frames_tensor(example.image[None]).to(device)
    prompt = example.prompt if student == STUDENT else ""
    context = encode_prompt(loaded.model, loaded.spec, prompt)
    conditions = StreamConditions(loaded.model, loaded.spec, context, KnownTracks(example.tracks), image=image, vae=vae)
    length = loaded.spec.chunk_plan.chunk(num_chunks).stop
    seconds, memory = [], []
    before = clock()
    for chunk in stream_chunks(loaded, conditions, TinyStreamingDecoder(vae), num_latent_frames=length):
        if device == "cuda":
            torch.cuda.synchronize()
        now = clock()
        if chunk.chunk.index:
            seconds.append(now - before)
            memory.append(peak_memory_mib(device))
        before = now
    return seconds, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("outputs/chunk_time.png"))
    parser.add_argument("--beside", action="store_true", help="compare the two bundled students")
    parser.add_argument("--bf16", action="store_true", help="compare precisions, for both bundled students")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    hardware = torch.cuda.get_device_name() if device == "cuda" else f"{platform.processor() or platform.machine()} CPU"
    if args.beside:
        return compare(device, hardware)
    if args.bf16:
        return compare_precisions(device, hardware)
    seconds, memory = measure(args.chunks, device)
    print(f"bundled student, 128 x 128, {torch.get_num_threads()} threads, {hardware}, torch {torch.__version__}")
    print("| chunk | seconds | peak memory MiB |\n|---|---|---|")
    for index, (taken, peak) in enumerate(zip(seconds, memory, strict=True), start=1):
        print(f"| {index} | {taken:.3f} | {peak:.0f} |")
    if len(seconds) >= 100:
        early, late = np.median(seconds[5:15]), np.median(seconds[90:100])
        print(f"median of chunks 91-100 / median of chunks 6-15: {late / early:.3f}")
    plot(seconds, memory, args.out)
    print(f"plot: {args.out}")


def compare(device: str, hardware: str) -> None:
    """Both students, round after round, over the chunks in which something is dragged."""
    taken: dict[str, list[float]] = {"pictures": [], "shapes": []}
    for _ in range(ROUNDS):
        taken["pictures"] += measure(DRAGGED_CHUNKS, device, PHOTO_STUDENT, PHOTO_TINY_VAE)[0]
        taken["shapes"] += measure(DRAGGED_CHUNKS, device)[0]
    medians = {name: float(np.median(seconds)) for name, seconds in taken.items()}
    print(f"128 x 128, {torch.get_num_threads()} threads, {hardware}, torch {torch.__version__}")
    print("\n".join(f"{name}: {seconds:.3f} s a chunk (median)" for name, seconds in medians.items()))
    print(f"frames a second, pictures / shapes: {medians['shapes'] / medians['pictures']:.2f}")


def compare_precisions(device: str, hardware: str) -> None:
    """fp32, the decoder alone in bf16, transformer and decoder: round after round over the first chunks."""
    precisions = {
        "fp32": (torch.float32, torch.float32),
        "decoder in bf16": (torch.float32, torch.bfloat16),
        "all but the encoder in bf16": (torch.bfloat16, torch.bfloat16),
    }
    print(f"128 x 128, {torch.get_num_threads()} threads, {hardware}, torch {torch.__version__}")
    for about, files in (("shapes", (STUDENT, TINY_VAE)), ("pictures", (PHOTO_STUDENT, PHOTO_TINY_VAE))):
        taken: dict[str, list[float]] = {name: [] for name in precisions}
        for _ in range(ROUNDS):
            for name, dtypes in precisions.items():
                taken[name] += measure(DRAGGED_CHUNKS, device, *files, dtypes=dtypes)[0][1:]
        medians = {name: float(np.median(seconds)) for name, seconds in taken.items()}
        for name, seconds in medians.items():
            print(f"{about}, {name}: {seconds:.3f} s a chunk (median), {medians['fp32'] / seconds:.2f} times as fast")


def plot(seconds: list[float], memory: list[float], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 5), sharex=True)
    index = range(1, len(seconds) + 1)
    top.plot(index, seconds)
    top.set(ylabel="seconds per chunk", ylim=(0, max(seconds) * 1.1))
    bottom.plot(index, memory)
    bottom.set(ylabel="peak memory, MiB", xlabel="chunk (12 frames)", ylim=(0, max(memory) * 1.1))
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
