"""Forward and backward time of the attention backends at the bundled teacher's training size, as ratios to SDPA.

python benchmarks/attention.py
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from motionstream_core.models.attention import Backend, attention, available_backends

SHAPE = (8, 832, 4, 64)  # (b l k d): 49 frames of 128 x 128 px
REPEATS = 7


def seconds(backend: Backend, device: str) -> tuple[float, float]:
    """(forward, backward) seconds in bf16, the median of several runs."""
    times: list[tuple[float, float]] = []
    for _ in range(REPEATS):
        q, k, v = (torch.randn(SHAPE, device=device, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
        start = _now(device)
        out = attention(q, k, v, backend=backend)
        middle = _now(device)
        out.sum().backward()
        times.append((middle - start, _now(device) - middle))
    return sorted(t[0] for t in times)[REPEATS // 2], sorted(t[1] for t in times)[REPEATS // 2]


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    hardware = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    names: list[Backend] = ["sdpa", "matmul"]
    names += [name for name in ("flash2", "flash3") if name in available_backends(torch.device(device))]
    measured = {name: seconds(name, device) for name in names}
    print(f"(b l k d) = {SHAPE}, bf16, {hardware}, torch {torch.__version__}")
    print("| backend | forward s | backward s | both, relative to sdpa |\n|---|---|---|---|")
    for name, (forward, backward) in measured.items():
        print(f"| {name} | {forward:.4f} | {backward:.4f} | {(forward + backward) / sum(measured['sdpa']):.2f} |")


if __name__ == "__main__":
    main()
