"""From prompts and first images to what a model's cross-attention reads, by encoders that come, work and go."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ...models.encoders import ImageEncoder
from ...models.offload import place, weight_bytes
from ...models.wan import CrossContext
from ..conditions import encode_prompt
from ..network import SpecifiedNetwork
from .parts import Parts


@dataclass(frozen=True)
class EncodedPrompt:
    """A prompt as encoders leave it, on the CPU.

    text: (l d), None for a model that encodes the words itself. image_tokens: (m e) of CLIP, None where the model
    takes none.
    """

    prompt: str
    text: Tensor | None = None
    image_tokens: Tensor | None = None

    def context(self, loaded: SpecifiedNetwork) -> CrossContext:
        """Cross-attention keys and values for `loaded`, where it lies. Raises ValueError for words it does not know."""
        model = loaded.model
        if self.text is None:
            return encode_prompt(model, loaded.spec, self.prompt)
        device, dtype = model.placement
        image = None if self.image_tokens is None else self.image_tokens[None].to(device, dtype)
        return model.prepare_context(self.text[None].to(device, dtype), image)


class PromptSource(Protocol):
    """Encodes the prompts of a whole job at once."""

    def prepare(self, prompts: Sequence[str]) -> None:
        """Encode the prompts of jobs that come one by one, before the first of them."""
        ...

    def encode(self, prompts: Sequence[str], images: Sequence[Tensor | None]) -> list[EncodedPrompt]:
        """Each prompt with its first image (3 h w) in [0, 1]; None where the model starts from no image."""
        ...


class OwnWords:
    """For a model with a vocabulary, which encodes words itself."""

    def prepare(self, prompts: Sequence[str]) -> None:
        pass

    def encode(self, prompts: Sequence[str], images: Sequence[Tensor | None]) -> list[EncodedPrompt]:
        return [EncodedPrompt(prompt) for prompt in prompts]


class WanPrompts:
    """UMT5 and, for a model with image cross-attention, CLIP, from where `parts` has them.

    Each encoder is loaded, used for the whole job and freed before the next comes, so that none of them shares the
    device's memory with another or with the transformer. For jobs that come one by one `prepare` does so with the text
    encoder, once for all of them; CLIP then waits in the CPU's memory, and its layers visit the device for each
    picture. budget_bytes: of the device for one encoder's weights; the rest waits in the CPU's memory
    (`models.offload`). None moves it all.
    """

    def __init__(
        self,
        parts: Parts,
        text_dim: int,
        image_dim: int | None,
        device: torch.device,
        dtype: torch.dtype = torch.bfloat16,
        budget_bytes: int | None = None,
    ) -> None:
        self.parts, self.text_dim, self.image_dim = parts, text_dim, image_dim
        self.device, self.dtype, self.budget_bytes = device, dtype, budget_bytes
        self._prepared: dict[str, Tensor] = {}
        self._waiting: ImageEncoder | None = None

    def prepare(self, prompts: Sequence[str]) -> None:
        """See `PromptSource.prepare`. Raises as `encode` does."""
        self._prepared = dict(zip(prompts, self._texts(prompts), strict=True))
        if self.image_dim is not None and self._waiting is None:
            self._waiting = self._image_encoder(None if self.device.type == "cpu" else 0)

    def encode(self, prompts: Sequence[str], images: Sequence[Tensor | None]) -> list[EncodedPrompt]:
        """See `PromptSource.encode`.

        Raises as `Parts.load_text` and `load_image` do, and ValueError where an encoder is of another width than the
        model takes, or an image is missing.
        """
        texts = self._texts(prompts)
        if self.image_dim is None:
            return [EncodedPrompt(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
        tokens = self._image_tokens(images)
        return [EncodedPrompt(*each) for each in zip(prompts, texts, tokens, strict=True)]

    def _texts(self, prompts: Sequence[str]) -> list[Tensor]:
        made = dict(self._prepared)
        if new := [prompt for prompt in dict.fromkeys(prompts) if prompt not in made]:
            encoder = self.parts.load_text(self.dtype)
            _require_width("text", encoder.width, self.text_dim, self.parts.where("text_encoder"))
            self._settle(encoder.model, self.budget_bytes)
            # one by one: beside others a prompt would be padded, and half precision would round it otherwise
            made |= {prompt: encoder.encode([prompt], self.device)[0] for prompt in new}
            del encoder
            self._free()
        return [made[prompt] for prompt in prompts]

    def _image_tokens(self, images: Sequence[Tensor | None]) -> list[Tensor]:
        encoder = self._waiting or self._image_encoder(self.budget_bytes)
        made = []
        for image in images:
            if image is None:
                raise ValueError("image is missing: this model's cross-attention reads the first image")
            made.append(encoder.encode(image[None], self.device)[0])
        del encoder
        self._free()
        return made

    def _image_encoder(self, budget_bytes: int | None) -> ImageEncoder:
        encoder = self.parts.load_image(self.dtype)
        _require_width("image token", encoder.width, self.image_dim, self.parts.where("image_encoder"))
        self._settle(encoder.model, budget_bytes)
        return encoder

    def _settle(self, model: torch.nn.Module, budget_bytes: int | None) -> None:
        fits = budget_bytes is None or weight_bytes(model) <= budget_bytes
        place(model, self.device, None if fits else budget_bytes)

    def _free(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _require_width(name: str, found: int, wanted: int | None, where: Path) -> None:
    if found != wanted:
        raise ValueError(f"{name} width: the model takes {wanted}, {where} gives {found}; use the model's own encoders")
