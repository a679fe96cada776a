"""Our tiny VAE against madebyollin/taehv's own code, TAEHV_PATH: whole, and streamed frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from motionstream_core.models.vae.tiny_vae import TAEW2_1, TAEW2_2, TinyVae, TinyVaeConfig
from tests.parity.references import checkout, error, importable, report

CASES = pytest.mark.parametrize(
    ("config", "arguments"),
    [(TAEW2_1, {}), (TAEW2_2, {"patch_size": 2, "latent_channels": 48})],
    ids=["taew2_1", "taew2_2"],
)


@pytest.fixture(scope="module")
def taehv() -> Iterator[Any]:
    with importable(checkout("TAEHV_PATH", "madebyollin/taehv"), (), ("tqdm",)):
        import taehv  # pyright: ignore[reportMissingImports]

        yield taehv


def pair(taehv: Any, config: TinyVaeConfig, arguments: dict[str, Any]) -> tuple[Any, TinyVae]:
    """Both with the same random weights; frames vary, well inside [0, 1], where no clamp hides a difference."""
    theirs, ours = taehv.TAEHV(None, **arguments).eval(), TinyVae(config).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.ndim > 1:
                torch.nn.init.kaiming_normal_(parameter)
        theirs.decoder[-1].bias.fill_(0.5)
        seen: list[Tensor] = []
        watch = theirs.decoder[-2].register_forward_hook(lambda _, __, out: seen.append(out))
        theirs.decode_video(torch.randn(1, 2, config.latent_channels, 4, 4), show_progress_bar=False)
        watch.remove()
        theirs.decoder[-1].weight.mul_(0.05 / F.conv2d(seen[0], theirs.decoder[-1].weight).std())
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def flipped(x: Tensor) -> Tensor:
    """(b c t h w) as taehv has it, (b t c h w), and back."""
    return x.transpose(1, 2)


@CASES
@torch.no_grad()
def test_whole_decode_and_encode(taehv: Any, config: TinyVaeConfig, arguments: dict[str, Any]) -> None:
    theirs, ours = pair(taehv, config, arguments)
    latents = torch.randn(2, config.latent_channels, 4, 4, 6)
    expected = flipped(theirs.decode_video(flipped(latents), show_progress_bar=False))
    clipped = ((expected == 0) | (expected == 1)).float().mean()
    assert clipped < 0.01 and expected.std() > 0.02
    report("taehv, whole decode", error(ours.decode(latents), expected))
    frames = torch.rand(2, 3, 9, 32, 48)
    encoded = flipped(theirs.encode_video(flipped(frames), show_progress_bar=False))
    report("taehv, encode", error(ours.encode(frames), encoded))


@CASES
@torch.no_grad()
def test_streamed_decode(taehv: Any, config: TinyVaeConfig, arguments: dict[str, Any]) -> None:
    theirs, ours = pair(taehv, config, arguments)
    latents = torch.randn(1, config.latent_channels, 7, 4, 4)
    stream, frames = taehv.StreamingTAEHV(theirs), []
    for latent in flipped(latents).split(1, dim=1):
        frame = stream.decode(latent)
        while frame is not None:
            frames.append(frame)
            frame = stream.decode()
    memory = ours.new_memory()
    found = torch.cat([ours.decode_stream(chunk, memory) for chunk in latents.split((1, 3, 3), dim=2)], dim=2)
    report("taehv, streamed decode", error(found, flipped(torch.cat(frames, dim=1))))
