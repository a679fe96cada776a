"""LoRAs: what a file of changes changes of a model, and those changes merged into the model's weights for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from .files import naming
from .kinds import check_kind
from .lora_names import ALPHA, DIFFERENCES, PAIRS, modules_by_spelling, spelling, split_name
from .read import read_stored
from .scaled import COMPUTED
from .sound import check_finite

MAX_LISTED = 5


@dataclass(frozen=True)
class Lora:
    """Changes of a model's weights.

    parts: by Wan's own name of a module, the tensors of its change by their endings (`lora_names`). unmatched: the
    file's names that belong to nothing in the model.
    """

    parts: dict[str, dict[str, Tensor]]
    unmatched: tuple[str, ...]

    def __str__(self) -> str:
        """In words: how many modules it changes, and what of it has no place."""
        words = f"changes {len(self.parts)} modules"
        if not self.unmatched:
            return words
        first = ", ".join(name[:80] for name in self.unmatched[:MAX_LISTED])
        return f"{words}; {len(self.unmatched)} of its tensors belong to none: {first}"

    def named(self, prefix: str) -> dict[str, Tensor]:
        """Its tensors, each as `prefix`, Wan's own name of the module, and the ending: as one file of one naming."""
        return {f"{prefix}{stem}.{end}": value for stem, part in self.parts.items() for end, value in part.items()}


def read_lora(path: str | Path, weights: Mapping[str, Tensor]) -> Lora:
    """The LoRA in a file (safetensors or torch), for a model whose tensors, under Wan's own names, are `weights`.

    Raises FileNotFoundError, or WeightsError for a file of another kind, for damaged numbers, or where nothing of it
    belongs to the model, or has another shape than what it changes.
    """
    stored = read_stored(path)
    with naming(path):
        check_kind(stored, "LoRA")
        numbers = {name: value for name, value in stored.tensors.items() if value.is_floating_point()}
        check_finite(numbers)
        lora = matched(stored.tensors, weights)
        for module, part in lora.parts.items():
            _check_fits(module, part, weights)
        if not lora.parts:
            first = ", ".join(name[:80] for name in list(stored.tensors)[:MAX_LISTED])
            raise ValueError(
                f"this LoRA changes nothing of the model: it is for another one. Its first names are {first}"
            )
    return lora


def matched(tensors: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Lora:
    """Which tensors of a LoRA belong to which module of a model. Raises ValueError where two are one by name."""
    modules = modules_by_spelling(weights)
    parts: dict[str, dict[str, Tensor]] = {}
    unmatched = []
    for name, value in tensors.items():
        found = split_name(name)
        module = modules.get(spelling(found[0])) if found else None
        if found is None or module is None:
            unmatched.append(name)
            continue
        part = parts.setdefault(module, {})
        if found[1] in part:
            raise ValueError(f"{name} and another of its tensors are one and the same by name, {module}.{found[1]}")
        part[found[1]] = value
    return Lora(parts, tuple(unmatched))


def merged(weights: Mapping[str, Tensor], lora: Lora, strength: float = 1.0) -> dict[str, Tensor]:
    """`weights` with W + strength * alpha / rank * up @ down in place of every W that the LoRA changes.

    Without alpha the factor alpha / rank is 1, as ComfyUI takes it. Reckoned in float32 and kept in the weight's dtype;
    fp8 becomes bfloat16, since fp8 would lose most of what is added. Raises ValueError for a change of another kind
    (LyCORIS, DoRA), or so large that the dtype cannot hold it.
    """
    changed = dict(weights)
    for module, part in lora.parts.items():
        for name, change in _changes(module, part, weights).items():
            old = weights[name]
            dtype = COMPUTED if old.element_size() == 1 else old.dtype
            changed[name] = (old.float() + strength * change.reshape(old.shape)).to(dtype)
            if not changed[name].isfinite().all():
                raise ValueError(
                    f"merged at strength {strength:g}, {name} has numbers beyond {dtype}; lower the strength"
                )
    return changed


def _changes(module: str, part: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What is added to each of a module's weights at strength 1, in float32."""
    pair = _pair(part)
    if other := sorted(part.keys() - {*pair, ALPHA, *DIFFERENCES}):
        raise ValueError(
            f"{module}.{other[0]} is of a kind that is not merged (merged are LoRA pairs and differences); Load "
            "MotionStream LoRA applies LyCORIS and DoRA while the model runs"
        )
    found: dict[str, Tensor] = {}
    if pair:
        down, up = (part[name].float().flatten(1) for name in pair)
        scale = part[ALPHA].item() / down.shape[0] if ALPHA in part else 1.0
        found[_weight_of(module, weights)] = scale * up @ down
    for name, change in _differences(module, part, weights).items():
        found[name] = found.get(name, 0) + change.float().reshape(found[name].shape if name in found else change.shape)
    return found


def _check_fits(module: str, part: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """Raises ValueError for changes of another shape than what they change, or halves of a pair."""
    if ALPHA in part and part[ALPHA].numel() != 1:
        raise ValueError(f"{module}.{ALPHA} is {tuple(part[ALPHA].shape)}; it must be one number")
    if part.keys() == {ALPHA}:
        raise ValueError(f"{module} has an alpha, and no pair that it would scale")
    for name, change in _differences(module, part, weights).items():
        if name not in weights or change.shape != weights[name].shape:
            has = tuple(weights[name].shape) if name in weights else "none"
            raise ValueError(f"the LoRA's change of {name} is {tuple(change.shape)}, and the model's weight {has}")
    halves = [name for pair in PAIRS for name in pair if name in part]
    if not halves:
        return
    if not (pair := _pair(part)):
        raise ValueError(f"{module} has {' and '.join(halves)}, and not the other half of the pair")
    down, up, weight = part[pair[0]], part[pair[1]], weights[_weight_of(module, weights)]
    ranks = (down.shape[0], up.shape[1]) if min(down.ndim, up.ndim) >= 2 else (0, 1)
    if not ranks[0] == ranks[1] > 0 or up.numel() * down.numel() != weight.numel() * ranks[0] ** 2:
        raise ValueError(
            f"the LoRA's pair for {module} is {tuple(down.shape)} and {tuple(up.shape)}, which make no change of the "
            f"model's {tuple(weight.shape)}: it is for another model"
        )


def _pair(part: Mapping[str, Tensor]) -> tuple[str, ...]:
    return next(((down, up) for down, up in PAIRS if down in part and up in part), ())


def _differences(module: str, part: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Changes that are stored whole, by the name of what they change."""
    names = zip(DIFFERENCES, (_weight_of(module, weights), f"{module}.bias"), strict=True)
    return {name: part[ending] for ending, name in names if ending in part}


def _weight_of(module: str, weights: Mapping[str, Tensor]) -> str:
    """The name of a module's weight; a bare parameter is its own."""
    return f"{module}.weight" if f"{module}.weight" in weights else module
