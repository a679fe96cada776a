"""Which kind of model a set of weights is, before anything more is asked of it."""

from __future__ import annotations

from typing import Literal

from .key_maps import bare_name, naming_of
from .read import Stored
from .tiny_vae_weights import is_tiny_vae
from .vae_weights import is_vae

Kind = Literal["transformer", "tiny VAE", "VAE"]


def kind_of(stored: Stored) -> Kind | None:
    """The kind, by the names of the tensors; None for something else."""
    if is_tiny_vae(stored):
        return "tiny VAE"
    if is_vae(stored.tensors):
        return "VAE"
    try:
        naming_of(map(bare_name, stored.tensors))
    except ValueError:
        return None
    return "transformer"


def check_kind(stored: Stored, wanted: Kind) -> None:
    """Raise ValueError when these weights are known to be of another kind than `wanted`."""
    found = kind_of(stored)
    if found not in (None, wanted):
        raise ValueError(f"this is a {found}, not a {wanted}")
