"""Evaluation of the bundled model on its procedural world, where the truth is known."""
