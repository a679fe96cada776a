"""Between a chunk's beginning and its frames the host never waits for the device.

The stream runs on the meta device: its tensors have no data, so whatever would ask for a value (item, bool, cpu,
tolist, nonzero, indexing by a mask) is an error, and so is an operation between two devices. Tracks and noise are the
host's own: how often they go to the device is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from motionstream_core.checkpoints import LoadedModel, ModelSpec, build_model
from motionstream_core.geometry import Chunk
from motionstream_core.models import rope
from motionstream_core.models.conditioning import Conditions
from motionstream_core.models.kv_cache import RopeRule
from motionstream_core.models.vae.tiny_vae import TAEW2_1, TAEW2_2, TinyVae
from motionstream_core.models.vae.wan_vae import WanVae
from motionstream_core.streaming import stream as module
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions
from motionstream_core.streaming.decode import FullStreamingDecoder, TinyStreamingDecoder
from motionstream_core.streaming.image_source import StillImage
from motionstream_core.streaming.state import resumable_stream
from motionstream_core.streaming.stream import StreamSettings, named
from motionstream_core.tracks import Tracks
from motionstream_core.training.recipes.wan import WAN_PRESETS

META = torch.device("meta")
NARROW = {"dim": 48, "ffn_dim": 64, "num_heads": 2, "num_layers": 2, "text_dim": 16, "text_len": 12}
ONE_EACH = {preset.student: name for name, preset in reversed(WAN_PRESETS.items())}  # some differ in training alone
PRESETS = pytest.mark.parametrize("preset", sorted(ONE_EACH.values()))
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


def full_decoder(spec: ModelSpec) -> FullStreamingDecoder:
    """Wan 2.1's VAE, or that of Wan 2.2 5B, narrow."""
    autoencoder = pytest.importorskip("diffusers.models.autoencoders.autoencoder_kl_wan", reason="needs diffusers")
    channels = spec.backbone.out_channels
    changes = {"latents_mean": [0.0] * channels, "latents_std": [1.0] * channels, "z_dim": channels}
    changes |= {"base_dim": 4, "num_res_blocks": 1}
    if spec.vae_stride.space == 16:
        changes |= {"decoder_base_dim": 4, "is_residual": True, "patch_size": 2, "in_channels": 12, "out_channels": 12}
    with META:
        return FullStreamingDecoder(WanVae(autoencoder.AutoencoderKLWan(**changes).eval().requires_grad_(False)))


class Journeys(TorchDispatchMode):
    """Shapes of what goes from the host to the device, in order; `told` is told of them too."""

    def __init__(self, told: list[str]) -> None:
        super().__init__()
        self.told, self.shapes = told, list[tuple[int, ...]]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        copies = func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
        source = args[-1 if func is torch.ops.aten.copy_.default else 0] if copies else None
        if isinstance(source, Tensor) and source.device.type == "cpu" and out.device == META:
            self.shapes.append(tuple(source.shape))
            self.told.append("sent")
        return out


def run(
    spec: ModelSpec,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Tensor], Any] | None = None,
    full_vae: bool = False,
) -> list[str]:
    """What happened, in order: "asked" for conditions, "sent" to the device, "decoded", "finite?".

    spoil: is shown every velocity. full_vae: decodes by Wan's own VAE.
    """
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
    decoder = full_decoder(spec) if full_vae else TinyStreamingDecoder(vae)
    push = decoder.push

    def decoded(latents: Tensor) -> Tensor:
        told.append("decoded")
        return push(latents)

    monkeypatch.setattr(decoder, "push", decoded)
    monkeypatch.setattr(module, "require_finite_latents", lambda finite, what: told.append("finite?"))
    length = spec.chunk_plan.chunk(CHUNKS - 1).stop
    loaded = LoadedModel(model, spec)
    settings = named(StreamSettings(), loaded)
    with Journeys(told):
        for chunk in resumable_stream(loaded, inner, decoder, num_latent_frames=length, settings=settings):
            assert chunk.frames.device == META and chunk.frames.shape[1:] == (height, width, 3)
    return told


@pytest.mark.parametrize("rule", get_args(RopeRule))
@PRESETS
def test_the_one_question_comes_when_the_device_has_all_its_work(
    preset: str, rule: RopeRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the latents are finite is asked once a chunk, behind its decoding."""
    told = [each for each in run(narrow(preset, rule), monkeypatch) if each != "sent"]
    assert told == ["asked", "decoded", "finite?"] * CHUNKS


@pytest.mark.parametrize("rule", get_args(RopeRule))
def test_a_steady_chunk_sends_its_noise_and_its_tracks(rule: RopeRule, monkeypatch: pytest.MonkeyPatch) -> None:
    """The noise of each step and one parcel of tracks; positions that move on send theirs, a few numbers."""
    rope._rotation.cache_clear()
    spec = narrow("wan2.1-1.3b", rule)
    told = run(spec, monkeypatch)
    steady = told[told.index("asked", len(told) - told[::-1].index("asked") - 1) :]
    tracks = int(spec.track_head is not None)
    assert steady.count("sent") == len(spec.step_list) + tracks + (rule == "absolute")


@PRESETS
def test_wans_own_vae_asks_nothing_either(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = run(narrow(preset, "sink_fixed"), monkeypatch, full_vae=True)
    assert [each for each in told if each != "sent"] == ["asked", "decoded", "finite?"] * CHUNKS


@pytest.mark.parametrize("batched", [True, False])
@PRESETS
def test_joint_guidance_asks_nothing(preset: str, batched: bool) -> None:
    """All passes of a step, in one batch or one behind the other; and nothing is sent."""
    spec = narrow(preset, "sink_fixed")
    told: list[str] = []
    with META:
        model = build_model(spec).eval().requires_grad_(False)
        backbone = spec.backbone
        tokens = torch.empty(1, 7, backbone.image_dim) if backbone.image_dim else None
        texts = [model.prepare_context(torch.empty(1, 9, backbone.text_dim), tokens) for _ in range(2)]
        parts: dict[str, Tensor] = {kind: torch.empty(1, width, 3, 4, 6) for kind, width in spec.layout.slots}
        first = torch.empty(1, backbone.out_channels, 1, 4, 6) if spec.pin_first_latent else None
        given = Conditions(texts[0], parts.get("mask"), parts.get("image"), parts.get("track"), first)
        noise = torch.empty(1, backbone.out_channels, 3, 4, 6)
    predict = module.guided_velocity(LoadedModel(model, spec), given, texts[1], 3.0, 1.5, batched)
    predict(noise, 0.9)
    with Journeys(told):
        for sigma in (0.8, 0.5):
            velocity = predict(noise, sigma)
    assert velocity.shape == noise.shape and velocity.device == META
    assert not told


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
