"""Between a chunk's beginning and its frames the host never waits for the device.

The stream runs on the meta device: its tensors have no data, so whatever would ask for a value (item, bool, cpu,
tolist, nonzero, indexing by a mask) is an error, and so is an operation between two devices. Tracks and noise are the
host's own; their copies to the device are not judged here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from motionstream_core.checkpoints import LoadedModel, ModelSpec, build_model
from motionstream_core.geometry import Chunk
from motionstream_core.models.conditioning import Conditions
from motionstream_core.models.kv_cache import RopeRule
from motionstream_core.models.vae.tiny_vae import TAEW2_1, TAEW2_2, TinyVae
from motionstream_core.streaming import stream as module
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.image_source import StillImage
from motionstream_core.streaming.state import resumable_stream
from motionstream_core.streaming.stream import StreamSettings, named
from motionstream_core.tracks import Tracks
from motionstream_core.training.recipes.wan import WAN_PRESETS

META = torch.device("meta")
NARROW = {"dim": 48, "ffn_dim": 64, "num_heads": 2, "num_layers": 2, "text_dim": 16, "text_len": 12}
CHUNKS = 5  # with a sink and a window of one chunk each, the last two evict


def narrow(preset: str, rule: RopeRule) -> ModelSpec:
    spec = WAN_PRESETS[preset].student
    side = 4 * spec.vae_stride.space
    backbone = replace(spec.backbone, **NARROW)
    return replace(spec, backbone=backbone, frame_size=(side, side + side // 2), rope_rule=rule)


class Told(StreamConditions):
    """Conditions that tell when they are asked for."""

    def __init__(self, told: list[str], *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._told = told

    def __call__(self, chunk: Chunk) -> Conditions:
        self._told.append("asked")
        return super().__call__(chunk)


def run(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Tensor], Any] | None = None) -> list[str]:
    """What happened, in order: "asked" for conditions, "decoded", "finite?". spoil: is shown every velocity."""
    told: list[str] = []
    with META:
        model = build_model(spec).eval().requires_grad_(False)
        vae = TinyVae(TAEW2_1 if spec.vae_stride.space == 8 else TAEW2_2).eval().requires_grad_(False)
    if spoil is not None:
        model.register_forward_hook(lambda _, __, velocity: spoil(velocity) and None)
    backbone, (height, width) = spec.backbone, spec.frame_size
    tokens = torch.empty(1, 7, backbone.image_dim, device=META) if backbone.image_dim else None
    context = model.prepare_context(torch.empty(1, 9, backbone.text_dim, device=META), tokens)
    num_frames = spec.vae_stride.num_frames(spec.chunk_plan.chunk(CHUNKS - 1).stop)
    points = torch.rand(num_frames, 20, 2, generator=torch.Generator().manual_seed(0)) * height
    tracks = Tracks(points, points[..., 0] > 3, height, width)
    cells = (height // spec.vae_stride.space, width // spec.vae_stride.space)
    source = StillImage(torch.empty(1, backbone.out_channels, 2, *cells, device=META))
    inner = Told(told, model, spec, context, KnownTracks(tracks), source=source, frame_size=(height, width))
    decoder = TinyStreamingDecoder(vae)
    push = decoder.push

    def decoded(latents: Tensor) -> Tensor:
        told.append("decoded")
        return push(latents)

    monkeypatch.setattr(decoder, "push", decoded)
    monkeypatch.setattr(module, "require_finite_latents", lambda finite, what: told.append("finite?"))
    length = spec.chunk_plan.chunk(CHUNKS - 1).stop
    loaded = LoadedModel(model, spec)
    settings = named(StreamSettings(), loaded)
    for chunk in resumable_stream(loaded, inner, decoder, num_latent_frames=length, settings=settings):
        assert chunk.frames.device == META and chunk.frames.shape[1:] == (height, width, 3)
    return told


@pytest.mark.parametrize("rule", get_args(RopeRule))
@pytest.mark.parametrize("preset", WAN_PRESETS)
def test_the_one_question_comes_when_the_device_has_all_its_work(
    preset: str, rule: RopeRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the latents are finite is asked once a chunk, behind its decoding."""
    assert run(narrow(preset, rule), monkeypatch) == ["asked", "decoded", "finite?"] * CHUNKS


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: x.mean().item(),
        lambda x: bool(x.isfinite().all()),
        lambda x: x.cpu(),
        lambda x: x[0, 0, 0, 0].tolist(),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.numpy(),
        lambda x: x + torch.ones(x.shape),
    ],
    ids=["item", "bool", "cpu", "tolist", "nonzero", "mask", "numpy", "two devices"],
)
def test_a_planted_question_is_found(spoil: Callable[[Tensor], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((RuntimeError, NotImplementedError, TypeError)):
        run(narrow("wan2.1-1.3b", "sink_fixed"), monkeypatch, spoil)
