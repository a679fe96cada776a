"""Names of LoRAs: which weight of a model each of a LoRA's tensors changes, whoever wrote it.

A name is a module's and an ending. The module's is Wan's own or diffusers', behind prefixes as a model's, or with
underscores for dots behind `lora_unet_` (kohya-ss; `lora_unet__` of aigc-apps/VideoX-Fun), `lora_transformer_`
(OneTrainer) or `lycoris_` (SimpleTuner). The ending says what the tensor is; those of one pair, up and down, have six
spellings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .key_maps import bare_name, diffusers_name

# (down, up), and what each pair's spelling comes from.
PAIRS = (
    ("lora_A.weight", "lora_B.weight"),  # PEFT, diffusers, diffusion-pipe
    ("lora_A.default.weight", "lora_B.default.weight"),  # PEFT with its adapter's name, DiffSynth
    ("lora_down.weight", "lora_up.weight"),  # kohya
    ("lora.down.weight", "lora.up.weight"),  # diffusers, formerly
    ("lora_linear_layer.down.weight", "lora_linear_layer.up.weight"),
    ("lora_A", "lora_B"),
)
ALPHA = "alpha"
DIFFERENCES = ("diff", "diff_b")  # of a weight, of a bias: added whole
# Of LyCORIS and of DoRA: ComfyUI applies them, `merge` does not.
OTHERS = (
    *(f"lokr_{part}" for part in ("w1", "w2", "w1_a", "w1_b", "w2_a", "w2_b", "t2")),
    *(f"hada_{part}" for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")),
    *("oft_blocks", "oft_diag", "rescale", "dora_scale", "lora_magnitude_vector", "lora_mid.weight", "lora_B.bias"),
    *("w_norm", "b_norm", "set_weight", "reshape_weight"),
)
_ENDINGS = sorted({*(name for pair in PAIRS for name in pair), ALPHA, *DIFFERENCES, *OTHERS}, key=len, reverse=True)
_ENDING = re.compile(r"^(.+)\.(" + "|".join(map(re.escape, _ENDINGS)) + r")$")
_FLAT_PREFIX = re.compile(r"^(?:lora_unet_+|lora_transformer_|lycoris_|diffusion_model_)")


def is_lora(names: Iterable[str]) -> bool:
    """Whether these are names of a LoRA, or of a file of differences, and not of a model."""
    names = list(names)
    return bool(names) and 2 * sum(bool(_ENDING.match(name)) for name in names) > len(names)


def split_name(name: str) -> tuple[str, str] | None:
    """Module and ending of a LoRA's tensor, as they are written; None for a name that has no known ending."""
    found = _ENDING.match(name)
    return (found[1], found[2]) if found else None


def modules_by_spelling(weights: Iterable[str]) -> Mapping[str, str]:
    """A model's modules, and its bare parameters, by each spelling that `spelling` may give; to Wan's own name."""
    found: dict[str, str] = {}
    for name in weights:
        module = name.removesuffix(".weight").removesuffix(".bias")
        for spelled in (module, diffusers_name(module)):
            found[_flat(spelled)] = module
    return found


def spelling(module: str) -> str:
    """What a LoRA's name of a module is looked up as."""
    return _FLAT_PREFIX.sub("", _flat(bare_name(module)))


def _flat(name: str) -> str:
    return name.replace(".", "_")
