"""The bundled model's text encoder: a fixed vocabulary, one learned vector per word and place.

It stands where UMT5 stands for Wan. A word that it was never taught is an error that names the word, not a silent gap.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class WordEncoder(nn.Module):
    """Prompts to text embeddings (b l text_dim); l is `max_words`, unused places are zero."""

    def __init__(self, vocabulary: Sequence[str], text_dim: int, max_words: int) -> None:
        super().__init__()
        self.vocabulary = tuple(vocabulary)
        self.max_words = max_words
        self._index = {word: index + 1 for index, word in enumerate(self.vocabulary)}  # 0 is an unused place
        # drawn here: on the meta device nn.Embedding's own start and any arithmetic import PyTorch's compiler
        words, places = torch.randn(len(self.vocabulary) + 1, text_dim), torch.randn(max_words, text_dim)
        self.embedding = nn.Embedding.from_pretrained(words, freeze=False)
        self.position = nn.Parameter(places if places.is_meta else places * 0.1)

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Word numbers int64 (b max_words), 0 where a prompt is shorter.

        Raises ValueError for an unknown word or too many words, naming the prompt.
        """
        tokens = torch.zeros(len(prompts), self.max_words, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            words = re.findall(r"[\w']+|[^\w\s]", prompt.lower())
            if unknown := sorted({word for word in words if word not in self._index}):
                raise ValueError(
                    f"prompt {prompt!r}: unknown words {', '.join(unknown)}; "
                    f"this small model knows {' '.join(self.vocabulary)}"
                )
            if len(words) > self.max_words:
                raise ValueError(f"prompt {prompt!r} has {len(words)} words; this small model reads {self.max_words}")
            tokens[row, : len(words)] = torch.tensor([self._index[word] for word in words], dtype=torch.long)
        return tokens

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings (b l text_dim) of `tokenize`'s numbers; the empty prompt is all zero."""
        return (self.embedding(tokens) + self.position) * (tokens > 0)[..., None]

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings (b l text_dim) of prompts."""
        return self(self.tokenize(prompts).to(self.position.device))
