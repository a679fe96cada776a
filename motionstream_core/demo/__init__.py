"""The bundled small model: its procedural world, its judge, and the demo command."""
