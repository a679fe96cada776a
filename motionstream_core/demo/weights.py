"""Where the bundled small model lies."""

from __future__ import annotations

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
STUDENT = WEIGHTS / "student.safetensors"
TEACHER = WEIGHTS / "teacher.safetensors"
TINY_VAE = WEIGHTS / "tiny_vae.safetensors"
