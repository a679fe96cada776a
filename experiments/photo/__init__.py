"""The bundled model for pictures: its clips, its training from nothing, what is measured of it (docs/training.md)."""
