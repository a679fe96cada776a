"""What turns a clip and its caption into the tensors that a model trains on: Wan's encoders, or the bundled ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from ...checkpoints.spec import ModelSpec
from ...geometry import VaeStride
from ...models.encoders import ImageEncoder, TextEncoder, require_parts
from ...models.vae.wan_vae import WanVae
from ...streaming.image_source import Encoder, image_latents


class ClipEncoders(Protocol):
    """name: tells these encoders from others; whatever changes what they give changes it. stride: of the VAE."""

    @property
    def name(self) -> str: ...

    @property
    def stride(self) -> VaeStride: ...

    def vae_latents(self, frames: Tensor) -> Tensor:
        """Latents (b c f h w), on the CPU, of frames (b 3 t h w) in [0, 1]."""
        ...

    def image_condition(self, frames: Tensor) -> Tensor | None:
        """Image latents (b c f h w) where they are not the clip's own first latent; None where they are, or are none.

        For the rule "grey_clip": the encoding of a clip that is grey after its first frame, as long as the clip.
        """
        ...

    def text(self, captions: Sequence[str]) -> list[Tensor] | None:
        """Embedding (l d) of each caption at its true length; None where the model encodes the words itself."""
        ...

    @property
    def empty_text(self) -> Tensor | None:
        """`text` of the empty caption: what a caption that is dropped in training becomes."""
        ...

    def image_tokens(self, image: Tensor) -> Tensor | None:
        """CLIP tokens (b m e) of images (b 3 h w) in [0, 1]; None where the model takes none."""
        ...

    def caption_fault(self, caption: str) -> str | None:
        """Why this caption cannot be used, or None."""
        ...


class WanEncoders:
    """Wan's VAE, UMT5 and, for models with image cross-attention, CLIP ViT-H (`models.encoders`)."""

    def __init__(
        self, vae: WanVae, text: TextEncoder, image: ImageEncoder | None, spec: ModelSpec, device: torch.device
    ) -> None:
        self._vae, self._text, self._image = vae.to(device), text, image
        self._text.model.to(device)
        if image is not None:
            image.model.to(device)
        self._spec, self._device = spec, device
        self._check(spec)
        self.stride = vae.stride
        self.name = (
            f"wan vae {digest(vae)}, umt5 {digest(text.model.shared)}, image rule {spec.image_rule}, "
            f"clip {digest(image.model) if image is not None else 'none'}"
        )
        encoded = self.text([""])
        self.empty_text: Tensor | None = encoded[0]

    @classmethod
    def load(
        cls, folder: str | Path, spec: ModelSpec, device: torch.device, dtype: torch.dtype = torch.bfloat16
    ) -> WanEncoders:
        """The encoders in a local folder in diffusers' layout; nothing is downloaded.

        Read are `vae` (always in float32), `tokenizer` and `text_encoder`, and for a model with image cross-attention
        `image_encoder` and `image_processor`. Raises ImportError without transformers or diffusers, FileNotFoundError
        naming a subfolder that is missing, ValueError when they do not fit `spec`.
        """
        with_image = spec.backbone.image_dim is not None
        needed = ("vae", "tokenizer", "text_encoder")
        require_parts(folder, (*needed, "image_encoder", "image_processor") if with_image else needed)
        text = TextEncoder.load(folder, dtype)
        image = ImageEncoder.load(folder, dtype) if with_image else None
        return cls(WanVae.from_pretrained(Path(folder) / "vae"), text, image, spec, device)

    @torch.no_grad()
    def vae_latents(self, frames: Tensor) -> Tensor:
        return self._vae.encode(frames.to(self._device)).float().cpu()

    @torch.no_grad()
    def image_condition(self, frames: Tensor) -> Tensor | None:
        if self._spec.image_rule != "grey_clip":
            return None
        made = image_latents(self._spec, _OnDevice(self._vae, self._device), frames[:, :, :1])
        assert made is not None
        # the rule of inference: after so many latents the last repeats
        index = torch.arange(self.stride.num_latent_frames(frames.shape[2])).clamp(max=made.shape[2] - 1)
        return made[:, :, index].float().cpu()

    def text(self, captions: Sequence[str]) -> list[Tensor]:
        return self._text.encode(captions, self._device)

    def image_tokens(self, image: Tensor) -> Tensor | None:
        return None if self._image is None else self._image.encode(image, self._device)

    def caption_fault(self, caption: str) -> str | None:
        return None

    def _check(self, spec: ModelSpec) -> None:
        found = [
            ("latent channels", self._vae.num_channels, spec.backbone.out_channels),
            ("VAE strides", self._vae.stride, spec.vae_stride),
            ("text width", self._text.width, spec.backbone.text_dim),
            ("image token width", None if self._image is None else self._image.width, spec.backbone.image_dim),
        ]
        for name, given, wanted in found:
            if given != wanted:
                raise ValueError(f"{name}: the model takes {wanted}, these encoders give {given}; use its own")


class _OnDevice:
    """A VAE that takes its frames from wherever they are."""

    def __init__(self, vae: Encoder, device: torch.device) -> None:
        self._vae, self._device = vae, device

    def encode(self, frames: Tensor) -> Tensor:
        return self._vae.encode(frames.to(self._device))


def digest(module: nn.Module) -> str:
    """Twelve hexadecimal digits that change with any weight."""
    total = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        total.update(name.encode())
        total.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()[:12]
