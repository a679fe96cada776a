"""A steady chunk of a stream at any size, counted on the meta device: what each stage costs, what is held at the peak.

A transformer's blocks are all alike: a stream with one of them and a stream with two are run, and the rest is reckoned.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from motionstream_core.checkpoints import LoadedModel, ModelSpec, build_model
from motionstream_core.models.fp8 import Arithmetic, to_fp8
from motionstream_core.models.kv_cache import CacheState, remembered_frames
from motionstream_core.models.offload import place, weight_bytes
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions
from motionstream_core.streaming.image_source import StillImage
from motionstream_core.streaming.render.renderer import Vae, streaming_decoder
from motionstream_core.streaming.render.warm_up import first_steady_chunk
from motionstream_core.streaming.stream import StreamSettings, named, stream_cache, stream_chunks

from .cost import Cost, Counter
from .held_memory import HeldMemory
from .models import CLIP_TOKENS, TEXT_TOKENS, random_tracks
from .stages import CACHE_PASS, CONDITIONS, DECODE, STEP, Stages

META = torch.device("meta")
COUNTED = (CONDITIONS, STEP, DECODE, CACHE_PASS)


@dataclass(frozen=True)
class Held:
    """Bytes of a device. weights: of the transformer, that stay there; others: all else, at its peak."""

    weights: float
    others: float

    @property
    def total(self) -> float:
        return self.weights + self.others


@dataclass(frozen=True)
class Shape:
    """What a stream is counted of. vae: that decodes, on any device; it is not changed."""

    spec: ModelSpec
    vae: Vae
    settings: StreamSettings = field(default_factory=StreamSettings)
    dtype: torch.dtype = torch.bfloat16
    arithmetic: Arithmetic = "plain"

    def with_layers(self, num_layers: int) -> Shape:
        """With so many of the transformer's blocks."""
        return replace(self, spec=replace(self.spec, backbone=replace(self.spec.backbone, num_layers=num_layers)))

    def model(self) -> LoadedModel:
        """Without data."""
        with META:
            model = build_model(self.spec)
        model = model.to(self.dtype).eval().requires_grad_(False)
        if self.arithmetic == "fp8":
            to_fp8(model)
        return LoadedModel(model, self.spec)


@torch.inference_mode()
def stage_costs(shape: Shape) -> dict[str, Cost]:
    """What every stage of a steady chunk costs, all denoise steps together."""
    _, one, two = (_costs(shape.with_layers(layers)) for layers in (1, 1, 2))  # the first makes what is made once
    return {name: one[name] + (two[name] - one[name]) * (shape.spec.backbone.num_layers - 1) for name in COUNTED}


def _costs(shape: Shape) -> dict[str, Cost]:
    with Counter() as counter:
        (amounts,) = _steady(shape.model(), shape, counter).amounts()
    return {name: sum(amounts.get(name, []), Cost()) for name in COUNTED}


@torch.inference_mode()
def decode_cost(shape: Shape) -> Cost:
    """What decoding a chunk that is not the first costs."""
    decoder, latents = streaming_decoder(copy.deepcopy(shape.vae).to(META)), _latents(shape)
    decoder.push(latents[:, :, :1])
    with Counter() as counter:
        decoder.push(latents)
    return counter.cost


def _latents(shape: Shape) -> Tensor:
    """Of one chunk."""
    spec, (height, width) = shape.spec, shape.spec.frame_size
    cells = (height // spec.vae_stride.space, width // spec.vae_stride.space)
    sizes = (1, spec.backbone.out_channels, spec.chunk_plan.chunk_frames, *cells)
    return torch.empty(sizes, device=META, dtype=shape.dtype)


@torch.inference_mode()
def held_bytes(shape: Shape, *, fp8: bool = False, offloaded: bool = False) -> Held:
    """What a device holds when it streams, the image being encoded already; the decoder's weights among `others`.

    fp8: the blocks' matrices are kept in 8 bits, and each is widened while its layer computes. offloaded: every large
    layer waits on the host and visits (`models.offload`).
    """
    one, two = (_held(shape.with_layers(layers), fp8, offloaded) for layers in (1, 2))
    more = shape.spec.backbone.num_layers - 1
    weights = one.weights + (two.weights - one.weights) * more
    return Held(weights, one.others + (two.others - one.others) * more)


def _held(shape: Shape, fp8: bool, offloaded: bool) -> Held:
    loaded = shape.model()
    weights = weight_bytes(loaded.model)
    if fp8 or offloaded:
        matrices = sum(each.weight.numel() for each in loaded.model.blocks.modules() if isinstance(each, nn.Linear))
        waiting = place(loaded.model, META, budget_bytes=0)  # every large layer is given its weights for its turn
        weights -= waiting if offloaded else matrices * (shape.dtype.itemsize - 1)
    with Counter(), HeldMemory() as held:
        _steady(loaded, shape, Counter())
    return Held(weights, weight_bytes(shape.vae) + held.peak)


def _steady(loaded: LoadedModel, shape: Shape, counter: Counter) -> Stages[Cost, Cost]:
    """One steady chunk and its cache pass, seen by `counter`."""
    spec, settings, vae = shape.spec, named(shape.settings, loaded), copy.deepcopy(shape.vae).to(META)
    index = first_steady_chunk(spec, settings)
    num_frames = spec.vae_stride.num_frames(spec.chunk_plan.chunk(index).stop)
    conditions, decoder = _conditions(loaded, shape.dtype, num_frames), streaming_decoder(vae)
    cache = stream_cache(loaded, conditions.latent_size, settings)
    cache.restore(_remembered(shape, settings, spec.chunk_plan.chunk(index).start))
    decoder.push(_latents(shape)[:, :, :1])
    stages = Stages(conditions, decoder, counter)
    chunks = stream_chunks(
        loaded,
        stages.conditions,
        stages,
        latent_size=conditions.latent_size,
        num_latent_frames=spec.chunk_plan.chunk(index).stop,
        settings=settings,
        callback=stages.after_step,
        cache=cache,
        first_chunk=index,
    )
    for _ in stages.handed_over(chunks, lambda frames: None):
        pass
    return stages


def _remembered(shape: Shape, settings: StreamSettings, num_frames: int) -> CacheState:
    """What a stream remembers that has come so far: as its file holds it (`streaming.state_file`)."""
    spec, (height, width) = shape.spec, shape.spec.frame_size
    sink, window = settings.sink_frames or 0, settings.window_frames or 0
    cell = spec.vae_stride.space * spec.backbone.patch[1]
    context = len(remembered_frames(num_frames, sink, window))
    unrotated = 0 if spec.rope_rule == "absolute" else max(0, context - sink)

    def buffer(frames: int) -> Tensor:
        tokens = frames * (height // cell) * (width // cell)
        sizes = (spec.backbone.num_layers, 1, tokens, spec.backbone.num_heads, spec.backbone.head_dim)
        return torch.empty(sizes, device=META, dtype=shape.dtype)

    return CacheState(num_frames, (buffer(context), buffer(context), buffer(unrotated)))


def _conditions(loaded: LoadedModel, dtype: torch.dtype, num_frames: int) -> StreamConditions:
    """Of a picture that stands still, and tracks of noise."""
    spec = loaded.spec
    backbone, (height, width) = spec.backbone, spec.frame_size

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, device=META, dtype=dtype)

    tokens = empty(1, CLIP_TOKENS, backbone.image_dim) if backbone.image_dim else None
    context = loaded.model.prepare_context(empty(1, min(TEXT_TOKENS, backbone.text_len), backbone.text_dim), tokens)
    cells = (height // spec.vae_stride.space, width // spec.vae_stride.space)
    source = None if spec.image_rule == "none" else StillImage(empty(1, backbone.out_channels, 2, *cells))
    tracks = KnownTracks(random_tracks(height, width, num_frames))
    return StreamConditions(loaded.model, spec, context, tracks, source=source, frame_size=(height, width))
