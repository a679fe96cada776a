"""Wan's text and image encoders, UMT5 and CLIP ViT-H; `load` takes them from a local folder in diffusers' layout.

`transformers` is imported only where one is loaded, and nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MAX_TEXT_TOKENS = 512
Tokenizer = Callable[[str], list[int]]
"""A text's ids, that of its end last: `MAX_TEXT_TOKENS` at most."""


class TextEncoder:
    """UMT5's encoder with its tokenizer: at most 512 tokens, the padding cut off (`wan` puts zeros in its place)."""

    def __init__(self, tokenizer: Tokenizer, model: Any) -> None:
        self.tokenizer, self.model = tokenizer, model

    @classmethod
    def load(cls, folder: str | Path, dtype: torch.dtype = torch.bfloat16) -> TextEncoder:
        """From the subfolders `tokenizer` and `text_encoder`, on the CPU.

        Raises FileNotFoundError naming a subfolder that is missing, ImportError without transformers.
        """
        require_parts(folder, ("tokenizer", "text_encoder"))
        return cls(load_tokenizer(folder), load_umt5(folder, dtype))

    @property
    def width(self) -> int:
        return self.model.config.d_model

    @torch.no_grad()
    def encode(self, captions: Sequence[str], device: torch.device) -> list[Tensor]:
        """Embedding (l d), on the CPU, of each caption at its true length. device: where the model's inputs go."""
        rows = [torch.tensor(self.tokenizer(" ".join(caption.split()))) for caption in captions]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        states = self.model(ids.to(device), attention_mask=mask.to(device)).last_hidden_state.cpu()
        return [state[: len(row)].clone() for state, row in zip(states, rows, strict=True)]


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer in the subfolder `tokenizer`. Raises as `TextEncoder.load` does."""
    require_parts(folder, ("tokenizer",))
    (auto,) = transformers_classes("AutoTokenizer")
    found = auto.from_pretrained(str(Path(folder) / "tokenizer"), local_files_only=True)
    return lambda text: found(text, truncation=True, max_length=MAX_TEXT_TOKENS, add_special_tokens=True).input_ids


def load_umt5(folder: str | Path, dtype: torch.dtype) -> Any:
    """transformers' UMT5 encoder in the subfolder `text_encoder`, on the CPU. Raises as `TextEncoder.load` does."""
    require_parts(folder, ("text_encoder",))
    (umt5,) = transformers_classes("UMT5EncoderModel")
    return umt5.from_pretrained(str(Path(folder) / "text_encoder"), dtype=dtype, local_files_only=True).eval()


class SentencePieces:
    """UMT5's tokenizer, of the content of its spiece.model.

    Raises ImportError without sentencepiece, ValueError for what is none.
    """

    def __init__(self, content: bytes) -> None:
        try:
            from sentencepiece import SentencePieceProcessor
        except ImportError as error:
            raise ImportError(
                "the tokenizer inside a checkpoint needs the package 'sentencepiece'; pip install sentencepiece"
            ) from error
        self._pieces = SentencePieceProcessor()
        try:
            self._pieces.LoadFromSerializedProto(content)
        except (RuntimeError, OSError) as error:
            raise ValueError(f"its tokenizer is broken: {error}") from None
        if self._pieces.eos_id() < 0:
            raise ValueError("its tokenizer has no id for the end of a text, which UMT5's has")

    def __call__(self, text: str) -> list[int]:
        return [*self._pieces.EncodeAsIds(text)[: MAX_TEXT_TOKENS - 1], self._pieces.eos_id()]


class ImageEncoder:
    """CLIP's vision model with its preprocessing; its tokens are the hidden states before the last layer."""

    def __init__(self, processor: Any, model: Any) -> None:
        self.processor, self.model = processor, model

    @classmethod
    def load(cls, folder: str | Path, dtype: torch.dtype = torch.bfloat16) -> ImageEncoder:
        """From the subfolders `image_encoder` and `image_processor`, on the CPU; raises as `TextEncoder.load` does."""
        require_parts(folder, ("image_encoder", "image_processor"))
        vision, images = transformers_classes("CLIPVisionModel", "CLIPImageProcessor")
        path = Path(folder)
        model = vision.from_pretrained(str(path / "image_encoder"), dtype=dtype, local_files_only=True)
        return cls(images.from_pretrained(str(path / "image_processor"), local_files_only=True), model.eval())

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


def transformers_classes(*names: str) -> tuple[Any, ...]:
    """Classes of transformers. Raises ImportError that says how to get the package."""
    try:
        import transformers
    except ImportError as error:
        raise ImportError("Wan's encoders need the package 'transformers'; pip install transformers") from error
    return tuple(getattr(transformers, name) for name in names)


def require_parts(folder: str | Path, needed: Sequence[str]) -> None:
    """Raises FileNotFoundError naming the first of `needed` that is no subfolder of `folder`."""
    if missing := [name for name in needed if not (Path(folder) / name).is_dir()]:
        raise FileNotFoundError(
            f"{folder} has no subfolder {missing[0]!r}; give a Wan model in diffusers' layout, as its Hugging Face "
            f"repositories ending in -Diffusers have it, with {', '.join(needed)}"
        )
