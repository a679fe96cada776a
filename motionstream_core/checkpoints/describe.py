"""What a file of weights is, in words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .components import beside_transformer, transformer_of
from .detect import role_hint
from .files import naming
from .key_maps import bare_name, naming_of
from .kinds import kind_of
from .load import SPEC_KEY, checkpoint_of
from .read import Stored, read_any
from .scaled import is_scale
from .spec import ModelSpec, Role
from .tiny_vae_weights import TINY_VAE_KEY, detect_tiny_vae
from .vae_weights import vae_title


def describe(
    path: str | Path, *, role: Role | None = None, family: str | None = None, variant: str | None = None
) -> list[str]:
    """Lines that say what the weights at `path` are: files, size, dtypes, names, and what they were found to be.

    A file of any size is described on any machine: weights are not read. Errors as in `load.read_checkpoint`.
    """
    stored = read_any(path, shapes_only=True)
    lines = [f"{path}: {len(stored.tensors)} tensors, {stored.num_bytes / 1e9:.2f} GB, {_dtypes(stored)}"]
    if len(stored.files) > 1:
        lines.append(f"parts: {', '.join(file.name for file in stored.files)}")
    if stored.part:
        lines.append(f"taken from its entry {stored.part!r}")
    kind = kind_of(stored)
    if kind == "tiny VAE":
        with naming(path):
            name, config = detect_tiny_vae(read_any(path), variant)
        by = " (by its metadata)" if TINY_VAE_KEY in stored.metadata else ""
        return [*lines, f"tiny VAE: {name}{by}, {config.latent_channels} latent channels, stride {config.stride}"]
    if kind == "VAE":
        with naming(path):
            return [*lines, f"VAE: {vae_title(stored)}"]
    with naming(path):
        checkpoint = checkpoint_of(stored, role, family)
    if beside := beside_transformer(stored.tensors):
        lines.append("beside the transformer: " + ", ".join(f"{part} ({beside[part]})" for part in sorted(beside)))
    return [*lines, f"names: {_naming(stored)}", f"model: {checkpoint.title}", *_spec_lines(checkpoint.spec, stored)]


def _dtypes(stored: Stored) -> str:
    counts = Counter(str(tensor.dtype).removeprefix("torch.") for tensor in stored.tensors.values())
    found = ", ".join(f"{count} x {dtype}" if len(counts) > 1 else dtype for dtype, count in counts.most_common())
    return f"{found}, with scales" if any(map(is_scale, stored.tensors)) else found


def _naming(stored: Stored) -> str:
    names = transformer_of(stored).tensors
    name = next(iter(names))
    prefix = name.removesuffix(bare_name(name))
    return naming_of(map(bare_name, names)) + (f", behind {prefix!r}" if prefix else "")


def _spec_lines(spec: ModelSpec, stored: Stored) -> list[str]:
    slots = " | ".join(f"{kind} {width}" for kind, width in spec.layout.slots)
    if SPEC_KEY in stored.metadata:
        source = "its metadata"
    else:
        source = "what is written beside the weights" if role_hint(stored) else "the caller, or plain Wan by default"
    lines = [
        f"role: {spec.role} (from {source})",
        f"input channels: {slots}; output {spec.backbone.out_channels}",
        f"image: {spec.image_rule}{', latent frame 0 pinned' if spec.pin_first_latent else ''}",
    ]
    if spec.track_head is None:
        lines.append("tracks: none; it cannot follow trajectories")
    else:
        head = spec.track_head
        lines.append(f"tracks: head {head.variant!r}, coordinates {head.coordinates!r}, id_dim {head.id_dim}")
    if spec.role == "student":
        plan = spec.chunk_plan
        lines.append(
            f"stream: chunks of {plan.first_chunk_frames} + {plan.chunk_frames} k latent frames, "
            f"sink {spec.sink_frames}, window {spec.window_frames}, rope {spec.rope_rule}"
        )
        lines.append(f"steps: {', '.join(map(str, spec.step_list))}, shift {spec.shift:g}")
    else:
        lines.append(f"guidance: text {spec.text_weight:g}, motion {spec.motion_weight:g}; shift {spec.shift:g}")
    return lines
