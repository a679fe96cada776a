"""What turns a clip and its caption into the tensors that a model trains on: Wan's encoders, or the bundled ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..checkpoints.spec import ModelSpec
from ..geometry import VaeStride
from ..models.tiny_vae import TinyVae
from ..models.vae import WanVae
from ..models.word_encoder import WordEncoder
from ..streaming.conditions import Encoder, image_latents

MAX_TEXT_TOKENS = 512


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


class BundledEncoders:
    """The tiny VAE; captions stay words.

    vocabulary: a caption with another word in it is a fault; None lets every caption pass.
    Raises ValueError for a VAE whose first latent frame knows later frames, or for another image rule.
    """

    def __init__(self, vae: TinyVae, spec: ModelSpec | None = None) -> None:
        if vae.config.encoder_lookahead:
            raise ValueError("this tiny VAE encodes with lookahead: a clip's first latent is not its first image's")
        if spec is not None and spec.image_rule == "grey_clip":
            raise ValueError("image_rule is 'grey_clip'; the bundled encoders make 'first_latent' and 'none'")
        self._vae, self._device = vae.eval(), next(vae.parameters()).device
        self._words = WordEncoder(spec.vocabulary, 1, spec.backbone.text_len) if spec and spec.vocabulary else None
        self.name = f"tiny vae {digest(vae)}, words {'known' if self._words else 'any'}"
        self.stride = vae.config.stride
        self.empty_text = None

    @torch.no_grad()
    def vae_latents(self, frames: Tensor) -> Tensor:
        return self._vae.encode(frames.to(self._device)).float().cpu()

    def image_condition(self, frames: Tensor) -> Tensor | None:
        return None

    def text(self, captions: Sequence[str]) -> list[Tensor] | None:
        return None

    def image_tokens(self, image: Tensor) -> Tensor | None:
        return None

    def caption_fault(self, caption: str) -> str | None:
        try:
            if self._words is not None:
                self._words.tokenize([caption])
        except ValueError as error:
            return str(error)
        return None


class WanEncoders:
    """Wan's VAE, UMT5 and, for models with image cross-attention, CLIP ViT-H.

    Text: at most 512 tokens, the padding cut off (`models.wan` puts zeros in its place). Image tokens: the hidden
    states before CLIP's last layer.
    """

    def __init__(
        self,
        vae: WanVae,
        tokenizer: Any,
        text_encoder: Any,
        image_encoder: Any | None,
        image_processor: Any | None,
        spec: ModelSpec,
        device: torch.device,
    ) -> None:
        self._vae, self._text, self._image = vae.to(device), text_encoder.to(device), image_encoder
        self._tokenizer, self._image_processor = tokenizer, image_processor
        if image_encoder is not None:
            self._image = image_encoder.to(device)
        self._spec, self._device = spec, device
        self._check(spec)
        self.stride = vae.stride
        self.name = (
            f"wan vae {digest(vae)}, umt5 {digest(text_encoder.shared)}, image rule {spec.image_rule}, "
            f"clip {digest(image_encoder) if image_encoder is not None else 'none'}"
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
        folder = Path(folder)
        needed = ["vae", "tokenizer", "text_encoder"]
        if spec.backbone.image_dim is not None:
            needed += ["image_encoder", "image_processor"]
        if missing := [name for name in needed if not (folder / name).is_dir()]:
            raise FileNotFoundError(
                f"{folder} has no subfolder {missing[0]!r}; give a Wan model in diffusers' layout, as its Hugging Face "
                f"repositories ending in -Diffusers have it, with {', '.join(needed)}"
            )
        try:
            from transformers import AutoTokenizer, UMT5EncoderModel
        except ImportError as error:
            raise ImportError(
                "Wan's text encoder needs the package 'transformers'; pip install transformers"
            ) from error
        local: dict[str, Any] = {"local_files_only": True}
        text = UMT5EncoderModel.from_pretrained(str(folder / "text_encoder"), dtype=dtype, **local).eval()
        image, processor = None, None
        if spec.backbone.image_dim is not None:
            from transformers import CLIPImageProcessor, CLIPVisionModel

            image = CLIPVisionModel.from_pretrained(str(folder / "image_encoder"), dtype=dtype, **local).eval()
            processor = CLIPImageProcessor.from_pretrained(str(folder / "image_processor"), **local)
        tokenizer = AutoTokenizer.from_pretrained(str(folder / "tokenizer"), **local)
        return cls(WanVae.from_pretrained(folder / "vae"), tokenizer, text, image, processor, spec, device)

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

    @torch.no_grad()
    def text(self, captions: Sequence[str]) -> list[Tensor]:
        cleaned = [" ".join(caption.split()) for caption in captions]
        tokens = self._tokenizer(
            cleaned,
            padding=True,
            truncation=True,
            max_length=MAX_TEXT_TOKENS,
            add_special_tokens=True,
            return_attention_mask=True,
            return_tensors="pt",
        ).to(self._device)
        states = self._text(tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state.cpu()
        lengths = tokens.attention_mask.sum(1).tolist()
        return [row[:length].clone() for row, length in zip(states, lengths, strict=True)]

    @torch.no_grad()
    def image_tokens(self, image: Tensor) -> Tensor | None:
        if self._image is None or self._image_processor is None:
            return None
        pictures = (image * 255 + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        pixels = self._image_processor(images=list(pictures), return_tensors="pt").pixel_values
        states = self._image(pixels.to(self._device, self._image.dtype), output_hidden_states=True).hidden_states
        return states[-2].cpu()

    def caption_fault(self, caption: str) -> str | None:
        return None

    def _check(self, spec: ModelSpec) -> None:
        image_width = None if self._image is None else self._image.config.hidden_size
        found = [
            ("latent channels", self._vae.num_channels, spec.backbone.out_channels),
            ("VAE strides", self._vae.stride, spec.vae_stride),
            ("text width", self._text.config.d_model, spec.backbone.text_dim),
            ("image token width", image_width, spec.backbone.image_dim),
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
