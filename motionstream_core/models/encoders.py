"""Wan's text and image encoders, UMT5 and CLIP ViT-H, from a local folder in diffusers' layout.

`transformers` is imported only where a folder is loaded, and nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MAX_TEXT_TOKENS = 512


class TextEncoder:
    """UMT5's encoder with its tokenizer: at most 512 tokens, the padding cut off (`wan` puts zeros in its place)."""

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self.tokenizer, self.model = tokenizer, model

    @classmethod
    def load(cls, folder: str | Path, dtype: torch.dtype = torch.bfloat16) -> TextEncoder:
        """From the subfolders `tokenizer` and `text_encoder`, on the CPU.

        Raises FileNotFoundError naming a subfolder that is missing, ImportError without transformers.
        """
        require_parts(folder, ("tokenizer", "text_encoder"))
        try:
            from transformers import AutoTokenizer, UMT5EncoderModel
        except ImportError as error:
            raise ImportError(
                "Wan's text encoder needs the package 'transformers'; pip install transformers"
            ) from error
        path = Path(folder)
        tokenizer = AutoTokenizer.from_pretrained(str(path / "tokenizer"), local_files_only=True)
        model = UMT5EncoderModel.from_pretrained(str(path / "text_encoder"), dtype=dtype, local_files_only=True)
        return cls(tokenizer, model.eval())

    @property
    def width(self) -> int:
        return self.model.config.d_model

    @torch.no_grad()
    def encode(self, captions: Sequence[str], device: torch.device) -> list[Tensor]:
        """Embedding (l d), on the CPU, of each caption at its true length. device: where the model's inputs go."""
        tokens = self.tokenizer(
            [" ".join(caption.split()) for caption in captions],
            padding=True,
            truncation=True,
            max_length=MAX_TEXT_TOKENS,
            add_special_tokens=True,
            return_attention_mask=True,
            return_tensors="pt",
        ).to(device)
        states = self.model(tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state.cpu()
        lengths = tokens.attention_mask.sum(1).tolist()
        return [row[:length].clone() for row, length in zip(states, lengths, strict=True)]


class ImageEncoder:
    """CLIP's vision model with its preprocessing; its tokens are the hidden states before the last layer."""

    def __init__(self, processor: Any, model: Any) -> None:
        self.processor, self.model = processor, model

    @classmethod
    def load(cls, folder: str | Path, dtype: torch.dtype = torch.bfloat16) -> ImageEncoder:
        """From the subfolders `image_encoder` and `image_processor`, on the CPU; raises as `TextEncoder.load` does."""
        require_parts(folder, ("image_encoder", "image_processor"))
        try:
            from transformers import CLIPImageProcessor, CLIPVisionModel
        except ImportError as error:
            raise ImportError(
                "Wan's image encoder needs the package 'transformers'; pip install transformers"
            ) from error
        path = Path(folder)
        model = CLIPVisionModel.from_pretrained(str(path / "image_encoder"), dtype=dtype, local_files_only=True)
        processor = CLIPImageProcessor.from_pretrained(str(path / "image_processor"), local_files_only=True)
        return cls(processor, model.eval())

    @property
    def width(self) -> int:
        return self.model.config.hidden_size

    @torch.no_grad()
    def encode(self, images: Tensor, device: torch.device) -> Tensor:
        """Tokens (b m e), on the CPU, of images (b 3 h w) in [0, 1]."""
        pictures = (images * 255 + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        pixels = self.processor(images=list(pictures), return_tensors="pt").pixel_values
        states = self.model(pixels.to(device, self.model.dtype), output_hidden_states=True).hidden_states
        return states[-2].cpu()


def require_parts(folder: str | Path, needed: Sequence[str]) -> None:
    """Raises FileNotFoundError naming the first of `needed` that is no subfolder of `folder`."""
    if missing := [name for name in needed if not (Path(folder) / name).is_dir()]:
        raise FileNotFoundError(
            f"{folder} has no subfolder {missing[0]!r}; give a Wan model in diffusers' layout, as its Hugging Face "
            f"repositories ending in -Diffusers have it, with {', '.join(needed)}"
        )
