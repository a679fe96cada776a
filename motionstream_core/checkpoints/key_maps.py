"""Names of weights: Wan's own ones, which this library's models have, and the diffusers names of the same tensors.

Tensors are equal under both; only names differ. In a block the two number the norms differently: the one with weights,
before cross-attention, is norm3 in the original and norm2 in diffusers. ComfyUI and training scripts keep the original
names behind prefixes, or with a wrapper's name in between. The track head is `track_encoder` in FastVideo's files.
Sources: Wan-Video/Wan2.1: wan/modules/model.py; huggingface/diffusers: transformer_wan.py; hao-ai-lab/FastVideo.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

Naming = Literal["original", "diffusers"]
Value = TypeVar("Value")

# Stems: what stands before ".weight" or ".bias", or the whole name of a bare parameter. Original -> diffusers.
_GLOBAL_STEMS = {
    "patch_embedding": "patch_embedding",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "img_emb.proj.0": "condition_embedder.image_embedder.norm1",
    "img_emb.proj.1": "condition_embedder.image_embedder.ff.net.0.proj",
    "img_emb.proj.3": "condition_embedder.image_embedder.ff.net.2",
    "img_emb.proj.4": "condition_embedder.image_embedder.norm2",
    "img_emb.emb_pos": "condition_embedder.image_embedder.pos_embed",
    "head.head": "proj_out",
    "head.modulation": "scale_shift_table",
    "track_head.temporal_conv": "track_encoder.temporal_conv",
    "track_head.proj": "track_encoder.proj",
}
_BLOCK_STEMS = {
    "modulation": "scale_shift_table",
    "norm3": "norm2",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
    "self_attn.q": "attn1.to_q",
    "self_attn.k": "attn1.to_k",
    "self_attn.v": "attn1.to_v",
    "self_attn.o": "attn1.to_out.0",
    "self_attn.norm_q": "attn1.norm_q",
    "self_attn.norm_k": "attn1.norm_k",
    "cross_attn.q": "attn2.to_q",
    "cross_attn.k": "attn2.to_k",
    "cross_attn.v": "attn2.to_v",
    "cross_attn.o": "attn2.to_out.0",
    "cross_attn.norm_q": "attn2.norm_q",
    "cross_attn.norm_k": "attn2.norm_k",
    "cross_attn.k_img": "attn2.add_k_proj",
    "cross_attn.v_img": "attn2.add_v_proj",
    "cross_attn.norm_k_img": "attn2.norm_added_k",
    "cross_attn.norm_q_img": "attn2.norm_added_q",
}
# Published image-to-video files under diffusers names, Track-v0 and TrackWan among them, hold this norm for symmetry;
# no code reads it (hao-ai-lab/FastVideo: fastvideo/models/dits/wanvideo.py, WanI2VCrossAttention).
_UNUSED_ENDING = ".cross_attn.norm_q_img.weight"
_GLOBAL_BACK = {theirs: ours for ours, theirs in _GLOBAL_STEMS.items()}
_BLOCK_BACK = {theirs: ours for ours, theirs in _BLOCK_STEMS.items()}
# What hosts, training scripts and PEFT put before a name, one of them or several: `module.model.diffusion_model.`,
# `model.model.`, `pipe.dit.` (modelscope/DiffSynth-Studio), `net.`, `base_model.model.` (PEFT). No name of Wan's own
# begins with any of them.
_PREFIXES = re.compile(
    r"^(?:(?:model|diffusion_model|transformer|module|net|network|pipe|dit|generator|generator_ema|ema|base_model)\.)+"
)
_INFIXES = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.")


def diffusers_name(original: str) -> str:
    """The diffusers name of an original one; a name that Wan does not have comes back as it is."""
    return _renamed(original, _GLOBAL_STEMS, _BLOCK_STEMS)


def original_name(diffusers: str) -> str:
    """The original name of a diffusers one; a name that diffusers' Wan does not have comes back as it is."""
    return _renamed(diffusers, _GLOBAL_BACK, _BLOCK_BACK)


def bare_name(name: str) -> str:
    """`name` without the prefixes of hosts and the names of wrappers in between."""
    for infix in _INFIXES:
        name = name.replace(infix, "")
    return _PREFIXES.sub("", name)


def naming_of(names: Iterable[str]) -> Naming:
    """Which of the two namings `names` (`bare_name`s) follow. Raises ValueError when they are no Wan transformer's."""
    found = set(names)
    if any(name.startswith("condition_embedder.") for name in found):
        return "diffusers"
    if any(name.startswith("text_embedding.") for name in found):
        return "original"
    some = ", ".join(name[:80] for name in sorted(found)[:5]) or "none"
    raise ValueError(
        "these are no weights of a Wan transformer: neither text_embedding.* (original names) nor condition_embedder.* "
        f"(diffusers) is among them; the first names are {some}"
    )


def to_original(weights: Mapping[str, Value]) -> dict[str, Value]:
    """`weights` of either naming, with or without prefixes, under original names.

    Raises ValueError when they are no Wan transformer's, or when two names become one.
    """
    bare = _rekeyed(weights, {name: bare_name(name) for name in weights})
    if naming_of(bare) == "original":
        return bare
    return _rekeyed(bare, {name: original_name(name) for name in bare})


def to_diffusers(weights: Mapping[str, Value]) -> dict[str, Value]:
    """`weights` under original names as diffusers names them. Raises ValueError when two names become one."""
    return _rekeyed(weights, {name: diffusers_name(name) for name in weights})


def without_unused(weights: Mapping[str, Value]) -> dict[str, Value]:
    """Those of `weights`, under original names, that a model has a use for."""
    return {name: value for name, value in weights.items() if not name.endswith(_UNUSED_ENDING)}


def _rekeyed(weights: Mapping[str, Value], names: Mapping[str, str]) -> dict[str, Value]:
    renamed: dict[str, Value] = {}
    for name, value in weights.items():
        if names[name] in renamed:
            twins = sorted(old for old, new in names.items() if new == names[name])
            raise ValueError(f"the weights {' and '.join(twins)} are one and the same by name, {names[name]}")
        renamed[names[name]] = value
    return renamed


def _renamed(name: str, global_stems: Mapping[str, str], block_stems: Mapping[str, str]) -> str:
    stems, start, rest = global_stems, "", name
    if name.startswith("blocks.") and name.count(".") >= 2:
        _, index, rest = name.split(".", 2)
        stems, start = block_stems, f"blocks.{index}."
    for stem, other in stems.items():
        if rest == stem or rest.startswith(stem + "."):
            return start + other + rest[len(stem) :]
    return name
