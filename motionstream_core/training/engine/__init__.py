"""How anything is trained: steps, optimizers, ranks, checkpoints, logs."""
