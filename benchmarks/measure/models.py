"""Models of the recipes' shapes with random weights, and all that they are conditioned on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from motionstream_core.checkpoints import LoadedModel, ModelSpec, build_model, load_model, load_tiny_vae
from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import PHOTO_STUDENT, PHOTO_TINY_VAE, STUDENT, TINY_VAE
from motionstream_core.models.fp8 import Arithmetic, require_fp8, to_fp8
from motionstream_core.models.vae.tiny_vae import TAEW2_1, TAEW2_2, TinyVae
from motionstream_core.models.vae.wan_vae import WanVae
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.streaming.render.renderer import Vae, streaming_decoder
from motionstream_core.streaming.stream import StreamedChunk, stream_chunks
from motionstream_core.tracks import Tracks
from motionstream_core.training.recipes.wan import CLIP_WIDTH, WAN_PRESETS

from .timing import seconds

CLIP_TOKENS = 257
TEXT_TOKENS = 120
NUM_TRACKS = 100
TINY_BACKBONE = {"dim": 48, "ffn_dim": 64, "num_heads": 2, "num_layers": 2, "text_dim": 16, "text_len": 12}


def preset_spec(preset: str, tiny: bool, role: str = "student") -> ModelSpec:
    """A recipe's teacher or student; tiny: with the same inputs and rules, but narrow and for small frames."""
    spec = WAN_PRESETS[preset].student if role == "student" else WAN_PRESETS[preset].teacher
    if not tiny:
        return spec
    side = 4 * spec.vae_stride.space
    return replace(spec, backbone=replace(spec.backbone, **TINY_BACKBONE), frame_size=(side, side + side // 2))


def random_model(spec: ModelSpec, device: torch.device, dtype: torch.dtype, seed: int = 0) -> LoadedModel:
    """A model of `spec`, ready to be asked; made on the device, where it costs no time."""
    torch.manual_seed(seed)
    with torch.device(device):
        model = build_model(spec)
    return LoadedModel(model.to(dtype).eval().requires_grad_(False), spec)


def tiny_vae(spec: ModelSpec, tiny: bool) -> TinyVae:
    """The published tiny VAE's shape with random weights, its encoder without look-ahead."""
    config = replace(TAEW2_1 if spec.vae_stride.space == 8 else TAEW2_2, encoder_lookahead=False)
    if tiny:
        config = replace(config, decoder_widths=(16, 8, 8, 8), encoder_width=8)
    torch.manual_seed(1)
    return TinyVae(config).eval().requires_grad_(False)


def full_vae(spec: ModelSpec, dtype: torch.dtype, device: str = "meta", narrow: bool = False) -> WanVae:
    """The full VAE's shape that belongs to a spec, without data unless a device is named.

    Raises ModuleNotFoundError without diffusers.
    """
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    changes: dict[str, Any] = {"base_dim": 8} if narrow else {}
    if spec.vae_stride.space == 16:
        base, decoder = (8, 8) if narrow else (160, 256)
        changes = {"base_dim": base, "decoder_base_dim": decoder, "z_dim": 48, "is_residual": True, "patch_size": 2}
        changes |= {"in_channels": 12, "out_channels": 12, "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48}
    torch.manual_seed(5)
    with torch.device(device):
        return WanVae(AutoencoderKLWan(**changes).eval().requires_grad_(False)).to(dtype)


def random_tracks(height: int, width: int, num_frames: int) -> Tracks:
    """Points of noise, all visible."""
    generator = torch.Generator().manual_seed(3)
    points = torch.rand(num_frames, NUM_TRACKS, 2, generator=generator) * torch.tensor([width, height])
    return Tracks(points, torch.ones(points.shape[:2], dtype=torch.bool), height, width)


@dataclass(frozen=True)
class Stream:
    """All that a stream is made of. begun_s: what encoding the picture and the prompt took."""

    loaded: LoadedModel
    conditions: StreamConditions
    vae: Vae
    begun_s: float = 0.0


def random_stream(spec: ModelSpec, vae: Vae, device: torch.device, dtype: torch.dtype, num_chunks: int) -> Stream:
    """A student with random weights, a picture and tracks of noise, for `num_chunks` chunks. vae: on the device."""
    loaded = random_model(spec, device, dtype)
    generator = torch.Generator().manual_seed(2)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    backbone, (height, width) = spec.backbone, spec.frame_size
    text = drawn(1, min(TEXT_TOKENS, backbone.text_len), backbone.text_dim)
    tokens = drawn(1, CLIP_TOKENS, CLIP_WIDTH) if backbone.image_dim else None
    num_frames = spec.vae_stride.num_frames(spec.chunk_plan.chunk(num_chunks - 1).stop)
    tracks = KnownTracks(random_tracks(height, width, num_frames))
    image = torch.rand(1, 3, 1, height, width, generator=generator).to(device)

    def conditions() -> StreamConditions:
        context = loaded.model.prepare_context(text, tokens)
        return StreamConditions(loaded.model, spec, context, tracks, image=image, vae=vae)

    return _begun(loaded, vae, device, conditions)


def bundled_stream(model: str, device: torch.device, dtype: torch.dtype, chunk_frames: int | None = None) -> Stream:
    """A bundled student ("pictures" or "shapes") over the demo's example, after whose tracks everything is let go."""
    student, vae_path = {"pictures": (PHOTO_STUDENT, PHOTO_TINY_VAE), "shapes": (STUDENT, TINY_VAE)}[model]
    loaded, vae = load_model(student, dtype), load_tiny_vae(vae_path).to(device)
    loaded = LoadedModel(loaded.model.to(device), loaded.spec.with_chunks(chunk_frames))
    example = drawn_example()
    image = torch.from_numpy(example.image.copy()).permute(2, 0, 1)[None, :, None].to(device).float() / 255

    def conditions() -> StreamConditions:
        context = encode_prompt(loaded.model, loaded.spec, example.prompt if model == "shapes" else "")
        tracks = KnownTracks(example.tracks)
        return StreamConditions(loaded.model, loaded.spec, context, tracks, image=image, vae=vae)

    return _begun(loaded, vae, device, conditions)


@torch.inference_mode()
def _begun(loaded: LoadedModel, vae: Vae, device: torch.device, conditions: Callable[[], StreamConditions]) -> Stream:
    made: list[StreamConditions] = []
    taken = seconds(device, lambda: made.append(conditions()))
    return Stream(loaded, made[0], vae, taken)


def with_options(stream: Stream, arithmetic: Arithmetic = "plain", compiled: bool = False, **options: Any) -> Stream:
    """The stream, whose model is changed so. options: of torch.compile.

    Raises ValueError where the device has no products in fp8.
    """
    model = stream.loaded.model
    if arithmetic == "fp8":
        require_fp8(*model.placement)
        to_fp8(model)
    if compiled:
        model.compile_blocks(**options)
    return stream


def opened(stream: Stream, num_chunks: int) -> Generator[StreamedChunk, None, None]:
    """The stream's chunks."""
    return stream_chunks(
        stream.loaded,
        stream.conditions,
        streaming_decoder(stream.vae),
        num_latent_frames=stream.loaded.spec.chunk_plan.chunk(num_chunks - 1).stop,
    )
