"""VAEs as the sampling nodes use them: the tiny one, and core's own VAE object, behind one face.

Latents on this face are the transformer's; `latent_format` leads from there to a LATENT, as core has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import comfy.ldm.wan.vae as wan21
import comfy.ldm.wan.vae2_2 as wan22
import comfy.model_management as mm
import comfy.model_patcher
import torch
from comfy.cli_args import args
from torch import Tensor

from ...motionstream_core.checkpoints import ModelSpec
from ...motionstream_core.geometry import VaeStride
from ...motionstream_core.models.apart import kept_apart
from ...motionstream_core.models.precision import cpu_is_fast_in_bf16
from ...motionstream_core.models.vae.tiny_vae import TAEW2_1, TAEW2_2, TinyVae, TinyVaeConfig
from ...motionstream_core.models.vae.wan_vae import check_latents
from ...motionstream_core.streaming.decode import StreamingDecoder, TinyStreamingDecoder, mapped, moved
from .network import latent_format, plain_format, wan_format


class Vae(Protocol):
    """What the nodes need of a VAE."""

    name: str
    patcher: Any
    latent_format: Any
    num_channels: int
    stride: VaeStride
    plain: bool  # torch's own layers, which the host cannot load in part

    def decoding_bytes(self, size: tuple[int, int]) -> int:
        """What decoding asks for beside the weights, for latents of `size` (h, w)."""
        ...

    def encode(self, frames: Tensor) -> Tensor:
        """Latents (1 c f h w), at the transformer's scale, of frames (1 3 t h w) in [0, 1]."""
        ...

    def decoder(self) -> StreamingDecoder:
        """A new streaming decoder of latents at the transformer's scale; the VAE is loaded when it is used."""
        ...


class StreamVae:
    """MOTIONSTREAM_VAE: a tiny VAE whose memory the host manages."""

    plain = True

    def __init__(self, vae: TinyVae, name: str) -> None:
        self.name = name
        # not CoreModelPatcher: where that is the dynamic one it moves weights layer by layer, which plain torch
        # modules take no part in
        self.patcher = comfy.model_patcher.ModelPatcher(
            vae, load_device=mm.vae_device(), offload_device=mm.vae_offload_device()
        )
        self.num_channels, self.stride = vae.config.latent_channels, vae.config.stride
        self.latent_format = _tiny_format(vae.config)

    @property
    def vae(self) -> TinyVae:
        """The VAE, wherever its weights lie now; `make_ready` brings them to the device."""
        return self.patcher.model

    def decoding_bytes(self, size: tuple[int, int]) -> int:
        """What decoding asks for beside the weights, for latents of `size` (h, w): little."""
        return 0

    @property
    def draft(self) -> Callable[[Tensor], Tensor] | None:
        """The VAE's linear draft of its encoder, where it has one."""
        return self.vae.draft

    def encode(self, frames: Tensor) -> Tensor:
        """Latents (b c f h w) of frames (b 3 t h w) in [0, 1], on the VAE's device."""
        return self.vae.encode(frames.to(self.patcher.load_device))

    def decoder(self) -> StreamingDecoder:
        """A new streaming decoder; `make_ready` comes first."""
        return _OnDevice(TinyStreamingDecoder(self.vae), self.patcher.load_device)


def decoding_dtype() -> torch.dtype:
    """What a tiny VAE decodes in: as the host was started with, else bf16 where its device is fast in it."""
    device = mm.vae_device()
    told = mm.vae_dtype(device, [torch.bfloat16])
    free = told == torch.float32 and not args.fp32_vae  # nobody named one, and the host gives CPUs no other
    return torch.bfloat16 if free and mm.is_device_cpu(device) and cpu_is_fast_in_bf16() else told


def _tiny_format(config: TinyVaeConfig) -> Any:
    """Wan's latents for networks of taew2_1's or taew2_2's layout; any other has a latent space of its own."""
    for known in (TAEW2_1, TAEW2_2):
        if (config.latent_channels, config.patch_size) == (known.latent_channels, known.patch_size):
            return wan_format(config.latent_channels)
    return plain_format(config.latent_channels)


class FullVae:
    """Core's VAE object holding Wan 2.1's or 2.2's VAE."""

    plain = False

    def __init__(self, vae: Any, field: str = "vae") -> None:
        model = getattr(vae, "first_stage_model", None)
        if not isinstance(model, (wan21.WanVAE, wan22.WanVAE)):
            raise ValueError(
                f"{field}: this is a {type(model).__name__}; load Wan's VAE (Load VAE: wan_2.1_vae, or wan2.2_vae for "
                "the 5B model) or use Load MotionStream Tiny VAE"
            )
        self.host_vae, self.name, self.patcher = vae, "the full Wan VAE", vae.patcher
        self.num_channels = vae.latent_channels
        self.stride = VaeStride(time=4, space=16 if isinstance(model, wan22.WanVAE) else 8)
        self.latent_format = wan_format(self.num_channels)

    def decoding_bytes(self, size: tuple[int, int]) -> int:
        """What decoding one latent frame asks for beside the weights, as core reckons, for latents of `size` (h, w)."""
        shape = (1, self.num_channels, 1, *size)
        return int(self.host_vae.memory_used_decode(shape, self.host_vae.vae_dtype))

    def encode(self, frames: Tensor) -> Tensor:
        """Latents (1 c f h w) of frames (1 3 t h w) in [0, 1]."""
        pixels = frames[0].permute(1, 2, 3, 0).cpu()  # t h w c, as core's IMAGE
        return self.latent_format.process_in(self.host_vae.encode(pixels).float())

    def decoder(self) -> StreamingDecoder:
        """A new streaming decoder, exact: core's own decoder, with its features kept between the chunks."""
        return WanStreamingDecoder(self)


class WanStreamingDecoder:
    """Drives core's Wan decoder latent frame by latent frame, as its own `decode` does for a whole clip."""

    def __init__(self, vae: FullVae) -> None:
        self._vae = vae
        self._model = vae.host_vae.first_stage_model
        self._is_22 = isinstance(self._model, wan22.WanVAE)
        self.reset()

    def reset(self) -> None:
        module = wan22 if self._is_22 else wan21
        count = getattr(module, "count_cache_layers", None) or module.count_conv3d
        self._features: list[Any] = [None] * count(self._model.decoder)
        self._is_first = True

    def state(self) -> object:
        return mapped(self._features, kept_apart), self._is_first

    def restore(self, state: object) -> None:
        features, self._is_first = cast(tuple[list[Any], bool], state)
        self._features = moved(features, self._vae.host_vae.device)

    def push(self, latents: Tensor) -> Tensor:
        """Frames (t h w 3), float32 in [0, 1] on the CPU, of the next latents (1 c f h w)."""
        return self._push(latents)[0]

    def push_both(self, latents: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """The same of two clips side by side."""
        frames, beside = self._push(torch.cat([latents, others]))
        return frames, beside

    @torch.no_grad()
    def _push(self, latents: Tensor) -> Tensor:
        check_latents(latents, self._vae.num_channels)
        host_vae = self._vae.host_vae
        given = self._vae.latent_format.process_out(latents).to(host_vae.device, host_vae.vae_dtype)
        features = self._model.conv2(given)
        parts = [self._decode_one(one) for one in features.split(1, dim=2)]
        frames = host_vae.process_output(torch.cat(parts, dim=2).float().cpu())
        return frames.permute(0, 2, 3, 4, 1).contiguous()

    def _decode_one(self, features: Tensor) -> Tensor:
        first = {"first_chunk": True} if self._is_22 and self._is_first else {}
        self._is_first = False
        before = list(self._features)
        out = self._model.decoder(features, feat_cache=self._features, feat_idx=[0], **first)
        self._features = [_two_frames(old, new) for old, new in zip(before, self._features, strict=True)]
        out = torch.cat(out, dim=2) if isinstance(out, list) else out  # newer hosts give a list
        return wan22.unpatchify(out, patch_size=2) if self._is_22 else out


def _two_frames(old: Any, new: Any) -> Any:
    """The two past frames that a causal convolution needs; newer hosts, which decode in twos, keep one of one."""
    if isinstance(old, Tensor) and isinstance(new, Tensor) and new.shape[2] == 1:
        return torch.cat([old[:, :, -1:], new], dim=2)
    return new


class _OnDevice:
    """A StreamingDecoder that takes latents from whichever device the model computes on (--cpu-vae parts the two)."""

    def __init__(self, decoder: StreamingDecoder, device: torch.device) -> None:
        self._decoder, self._device = decoder, device

    def push(self, latents: Tensor) -> Tensor:
        return self._decoder.push(latents.to(self._device))

    def push_both(self, latents: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        return self._decoder.push_both(latents.to(self._device), others.to(self._device))

    def reset(self) -> None:
        self._decoder.reset()

    def state(self) -> object:
        return self._decoder.state()

    def restore(self, state: object) -> None:
        self._decoder.restore(state)


@dataclass(frozen=True)
class Coders:
    """The VAEs that an image goes in by and latents come out by, often one and the same."""

    encoder: Vae
    decoder: Vae

    def streaming(self, spec: ModelSpec) -> tuple[Vae, ...]:
        """Those that work while a stream runs: an image that tracks drag is encoded chunk by chunk, others before."""
        return self.all if spec.image_rule == "carried" else (self.decoder,)

    @property
    def all(self) -> tuple[Vae, ...]:
        """Each once."""
        return (self.decoder,) if self.encoder is self.decoder else (self.encoder, self.decoder)


def stream_coders(vae: Any, decoder: Any = None) -> Coders:
    """What the inputs vae and decoder hold; without a decoder vae does both. Raises ValueError as `stream_vae` does."""
    encoder = stream_vae(vae)
    return Coders(encoder, encoder if decoder is None or decoder is vae else stream_vae(decoder, "decoder"))


def stream_vae(vae: Any, field: str = "vae") -> Vae:
    """A tiny VAE as it is, core's VAE behind the same face. Raises ValueError for another kind of VAE."""
    return vae if isinstance(vae, StreamVae) else FullVae(vae, field)


def require_fitting_coders(spec: ModelSpec, coders: Coders) -> None:
    """Raises ValueError unless both suit the model: `require_fitting_vae`; what only decodes may look ahead."""
    require_fitting_vae(spec, coders.encoder)
    if coders.decoder is not coders.encoder:
        _require_same_latents(spec, coders.decoder, "decoder")


def require_fitting_vae(spec: ModelSpec, vae: Vae) -> None:
    """Raises ValueError unless the VAE's latents have the channels, the stride and the scale that the model takes.

    A clip that is grey after its image needs an encoder that sees no later frame, or the grey would be in the image.
    """
    _require_same_latents(spec, vae, "vae")
    if spec.image_rule == "grey_clip" and isinstance(vae, StreamVae) and vae.vae.config.encoder_lookahead:
        raise ValueError(
            f"vae: {vae.name} encodes each frame together with the three after it, so this checkpoint would get an "
            "image mixed with the grey that follows it; load Wan's own VAE (Load VAE: wan_2.1_vae) and connect "
            f"{vae.name} to decoder, where the node has one"
        )


def _require_same_latents(spec: ModelSpec, vae: Vae, field: str) -> None:
    channels = spec.backbone.out_channels
    if vae.num_channels != channels or vae.stride != spec.vae_stride:
        raise ValueError(
            f"{field}: {vae.name} makes {vae.num_channels} channels at stride {vae.stride.time} x "
            f"{vae.stride.space}, but this checkpoint takes {channels} at {spec.vae_stride.time} x "
            f"{spec.vae_stride.space}; load the VAE that belongs to it"
        )
    if isinstance(vae, FullVae) and type(latent_format(spec)) is not type(vae.latent_format):
        raise ValueError(
            f"{field}: this checkpoint has a latent space of its own, which {vae.name} does not read; load the tiny "
            "VAE that belongs to it (bundled/tiny_vae)"
        )
