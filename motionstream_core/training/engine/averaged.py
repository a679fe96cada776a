"""The averaged model of a stage: what is exported, looked at and handed to the next stage."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ...checkpoints.load import build_model
from ...checkpoints.spec import ModelSpec
from ...models.track_wan import TrackWan
from .engine import Engine, Part

Watch = Callable[[TrackWan, int], None]
"""(averaged model, steps done), on rank 0 only: save it, look at it."""

Validate = Callable[[Part, int], None]
"""(part, steps done), on all ranks: measure the averages as they are sharded."""


def averaged_model(engine: Engine, part: Part, spec: ModelSpec) -> TrackWan | None:
    """The part's average as a whole model, in fp32 on the CPU of rank 0; None on other ranks. All ranks call it."""
    weights = engine.whole_state(part, ema=True)
    if not engine.is_main:
        return None
    with torch.device("meta"):
        model = build_model(spec)
    model.load_state_dict(weights, assign=True)
    return model.eval().requires_grad_(False)


def saved(
    engine: Engine, part: Part, spec: ModelSpec, on_save: Watch | None, validate: Validate | None
) -> Callable[[int], None]:
    """What the loop calls at a save: first `validate`, then `on_save` with the model on the CPU."""

    def call(train_step: int) -> None:
        if validate is not None:
            validate(part, train_step)
        if on_save is not None:
            averaged = averaged_model(engine, part, spec)
            if averaged is not None:
                on_save(averaged, train_step)

    return call


def watched(engine: Engine, part: Part, spec: ModelSpec, watch: Watch | None) -> Callable[[int], None] | None:
    """`watch`, of the model on the engine's device, as the loop calls it: on every rank, with the steps done alone."""
    if watch is None:
        return None

    def call(train_step: int) -> None:
        averaged = averaged_model(engine, part, spec)
        if averaged is not None:
            watch(averaged.to(engine.device), train_step)

    return call
