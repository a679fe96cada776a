"""What must hold on a CUDA device as on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from motionstream_core.checkpoints import load_model, load_tiny_vae
from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import PHOTO_STUDENT, PHOTO_TINY_VAE, STUDENT, TINY_VAE
from motionstream_core.evaluation.world.report import frames_tensor
from motionstream_core.models.attention import attention, available_backends
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.stream import stream_chunks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
BACKENDS = available_backends(torch.device("cuda", 0)) if torch.cuda.is_available() else ("sdpa",)


@torch.inference_mode()
def streamed(device: str, student: Path, tiny_vae: Path, prompt: str) -> torch.Tensor:
    """Frames (t h w 3) of the demo's example, on the CPU."""
    loaded, vae = load_model(student, torch.float32), load_tiny_vae(tiny_vae).to(device)
    loaded.model.to(device)
    example = drawn_example(25)
    context = encode_prompt(loaded.model, loaded.spec, prompt)
    image = frames_tensor(example.image[None]).to(device)
    conditions = StreamConditions(loaded.model, loaded.spec, context, KnownTracks(example.tracks), image=image, vae=vae)
    chunks = stream_chunks(loaded, conditions, TinyStreamingDecoder(vae), num_latent_frames=7)
    return torch.cat([chunk.frames.cpu() for chunk in chunks])


@pytest.mark.parametrize(
    "bundle",
    [(STUDENT, TINY_VAE, drawn_example(2).prompt), (PHOTO_STUDENT, PHOTO_TINY_VAE, "")],
    ids=["shapes", "photo"],
)
def test_the_stream_is_the_same_on_both_devices(bundle: tuple[Path, Path, str]) -> None:
    torch.testing.assert_close(streamed("cuda", *bundle), streamed("cpu", *bundle), rtol=0, atol=2e-2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_agrees_with_fp32(backend: str) -> None:
    q, k, v = (torch.randn(2, 96, 4, 64, device="cuda") for _ in range(3))
    half = (x.bfloat16() for x in (q, k, v))
    made = attention(*half, backend=backend)  # type: ignore[arg-type]
    torch.testing.assert_close(made.float(), attention(q, k, v, backend="matmul"), rtol=0, atol=3e-2)
