"""Encoders that lie in a checkpoint beside the transformer: UMT5 with its tokenizer, and CLIP's vision model.

Names are those of Hugging Face, which ComfyUI keeps behind prefixes (`text_encoders.umt5xxl.transformer.`), or of Wan's
own text encoder (Wan-Video/Wan2.1: wan/modules/t5.py). Sizes are read off the shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..models.encoders import ImageEncoder, SentencePieces, Tokenizer, transformers_classes
from .components import Component, part_of
from .detect import faults_between, shapes_of
from .files import naming
from .read import Stored, read_any
from .scaled import unscaled, weights_of
from .sound import check_finite, check_kinds_of_numbers

PIECES = "spiece_model"
"""What ComfyUI calls the tokenizer that it keeps beside UMT5: the bytes of its spiece.model."""
_UNUSED = "logit_scale"  # which ComfyUI keeps of every text encoder, and no code reads of this one
_TEXT_MARKS = ("shared.weight", "encoder.embed_tokens.weight", "token_embedding.weight")
CLIP_PREFIX = "vision_model."
_IMAGE_MARK = f"{CLIP_PREFIX}embeddings.patch_embedding.weight"
_CLIP_HEADS = 16  # of every CLIP that ComfyUI knows as an image encoder: ViT-L, ViT-H and ViT-g
_CLIP_OF_QUICK_GELU = 1024  # wide: OpenAI's ViT-L; the others were trained with the exact one
_GLOBAL = {"token_embedding": "shared", "norm": "encoder.final_layer_norm"}
_BLOCK = {
    "norm1": "layer.0.layer_norm",
    "norm2": "layer.1.layer_norm",
    "pos_embedding.embedding": "layer.0.SelfAttention.relative_attention_bias",
    "ffn.gate.0": "layer.1.DenseReluDense.wi_0",
    "ffn.fc1": "layer.1.DenseReluDense.wi_1",
    "ffn.fc2": "layer.1.DenseReluDense.wo",
    **{f"attn.{each}": f"layer.0.SelfAttention.{each}" for each in "qkvo"},
}


def parts_inside(path: Path) -> set[str]:
    """Which of text_encoder, tokenizer, image_encoder and vae a checkpoint holds beside the transformer.

    Raises WeightsError where it holds several of a kind.
    """
    stored = read_any(path, shapes_only=True)
    with naming(path):
        found = {
            "text_encoder": _stem(_named(stored, "text encoder"), _TEXT_MARKS) is not None,
            "tokenizer": any(map(_is_tokenizer, stored.tensors)),
            "image_encoder": _stem(_named(stored, "image encoder"), (_IMAGE_MARK,)) is not None,
            "vae": bool(part_of(stored, "VAE")),
        }
    return {name for name, there in found.items() if there}


def inner_tokenizer(path: Path) -> Tokenizer:
    """UMT5's tokenizer of a checkpoint. Raises ImportError without sentencepiece, WeightsError for broken bytes."""
    stored = read_any(path)
    content = next(value for name, value in stored.tensors.items() if _is_tokenizer(name))
    with naming(path):
        return SentencePieces(content.to(torch.uint8).numpy().tobytes())


def inner_text_encoder(path: Path, dtype: torch.dtype) -> Any:
    """UMT5 of a checkpoint as transformers' model, onto the CPU.

    Raises ImportError without transformers, WeightsError for a text encoder of another kind, listing what differs.
    """
    config_class, model_class = transformers_classes("UMT5Config", "UMT5EncoderModel")
    with naming(path):
        found = _named(read_any(path), "text encoder")
        weights = _umt5_names(_behind(found, _TEXT_MARKS))
        weights.setdefault("shared.weight", weights.get("encoder.embed_tokens.weight", torch.empty(0)))
        weights["encoder.embed_tokens.weight"] = weights["shared.weight"]
        config = _umt5_config(shapes_of(weights_of(weights)))
        return _filled(model_class, config_class(**config), weights, dtype, "UMT5")


def inner_image_encoder(path: Path, dtype: torch.dtype) -> ImageEncoder:
    """CLIP's vision model of a checkpoint, onto the CPU, with CLIP's own preprocessing.

    Raises as `inner_text_encoder` does.
    """
    config_class, model_class, processor_class = transformers_classes(
        "CLIPVisionConfig", "CLIPVisionModel", "CLIPImageProcessor"
    )
    with naming(path):
        weights = _behind(_named(read_any(path), "image encoder"), (_IMAGE_MARK,))
        weights = {name: value for name, value in weights.items() if name.startswith(CLIP_PREFIX)}
        config = config_class(**_clip_config(shapes_of(weights_of(weights))))
        model = _filled(model_class, config, weights, dtype, "CLIP vision model")
    side = config.image_size
    processor = processor_class(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    return ImageEncoder(processor, model)


def _named(stored: Stored, component: Component) -> dict[str, Tensor]:
    """An encoder's weights under their stored names."""
    found = part_of(stored, component)
    return {name: value for name, value in found.items() if _last(name) not in (PIECES, _UNUSED)}


def _is_tokenizer(name: str) -> bool:
    return _last(name) == PIECES


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def _stem(names: Mapping[str, Any], marks: tuple[str, ...]) -> str | None:
    """What stands before the names of an encoder that has one of `marks`; None where none has."""
    stems = {name.removesuffix(mark) for name in names for mark in marks if name.endswith(mark)}
    if len(stems) > 1:
        raise ValueError(f"there are several encoders: {', '.join(sorted(stems))}; keep the one that is meant")
    return stems.pop() if stems else None


def _behind(names: Mapping[str, Tensor], marks: tuple[str, ...]) -> dict[str, Tensor]:
    stem = _stem(names, marks) or ""
    return {name.removeprefix(stem): value for name, value in names.items() if name.startswith(stem)}


def _umt5_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of Wan's own names, those of Hugging Face; the latter stay."""
    return {_umt5_name(name): value for name, value in weights.items()}


def _umt5_name(name: str) -> str:
    if found := re.fullmatch(r"blocks\.(\d+)\.(.+)\.(\w+)", name):
        return f"encoder.block.{found[1]}.{_BLOCK.get(found[2], found[2])}.{found[3]}"
    stem, _, last = name.rpartition(".")
    return f"{_GLOBAL[stem]}.{last}" if stem in _GLOBAL else name


def _umt5_config(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    first = "encoder.block.0.layer.0.SelfAttention"
    vocabulary, width = _shape(shapes, "shared.weight")
    buckets, heads = _shape(shapes, f"{first}.relative_attention_bias.weight")
    return {
        "vocab_size": vocabulary,
        "d_model": width,
        "d_kv": _shape(shapes, f"{first}.q.weight")[0] // max(heads, 1),
        "d_ff": _shape(shapes, "encoder.block.0.layer.1.DenseReluDense.wi_0.weight")[0],
        "num_layers": _num_layers(shapes, r"encoder\.block\.(\d+)\."),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
    }


def _clip_config(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    width, _, patch = _shape(shapes, _IMAGE_MARK, 4)[:3]
    places = _shape(shapes, f"{CLIP_PREFIX}embeddings.position_embedding.weight")[0]
    return {
        "hidden_size": width,
        "intermediate_size": _shape(shapes, f"{CLIP_PREFIX}encoder.layers.0.mlp.fc1.weight")[0],
        "num_hidden_layers": _num_layers(shapes, r"vision_model\.encoder\.layers\.(\d+)\."),
        "num_attention_heads": _CLIP_HEADS,
        "patch_size": patch,
        "image_size": round((places - 1) ** 0.5) * patch,
        "hidden_act": "quick_gelu" if width == _CLIP_OF_QUICK_GELU else "gelu",
    }


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str, num_axes: int = 2) -> tuple[int, ...]:
    found = shapes.get(name)
    if found is None or len(found) != num_axes or 0 in found:
        raise ValueError(f"its encoder is of a kind that is not read: {name} is {found or 'not there'}")
    return found


def _num_layers(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> int:
    return len({found[1] for name in shapes if (found := re.match(pattern, name))})


def _filled(model_class: Any, config: Any, weights: dict[str, Tensor], dtype: torch.dtype, title: str) -> nn.Module:
    """A model of transformers' with these weights, to infer."""
    ready = unscaled(weights)
    check_kinds_of_numbers(ready)
    with torch.device("meta"):
        expected = shapes_of(model_class(config).state_dict())
    # versions of transformers differ in whether CLIP's names begin so
    wanted, found = (
        {name.removeprefix(CLIP_PREFIX): shape for name, shape in each.items()} for each in (expected, shapes_of(ready))
    )
    faults = faults_between(wanted, found)
    if faults.count:
        raise ValueError(f"its encoder is closest to {title}: {faults}")
    check_finite(ready)
    return model_class.from_pretrained(None, config=config, state_dict=ready, dtype=dtype).eval()
