"""Where the bundled small models lie."""

from __future__ import annotations

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
STUDENT = WEIGHTS / "student.safetensors"
TEACHER = WEIGHTS / "teacher.safetensors"
TINY_VAE = WEIGHTS / "tiny_vae.safetensors"
PHOTO_STUDENT = WEIGHTS / "photo" / "student.safetensors"
PHOTO_TINY_VAE = WEIGHTS / "photo" / "tiny_vae.safetensors"
BUNDLED = {
    "bundled/photo_student": PHOTO_STUDENT,
    "bundled/student": STUDENT,
    "bundled/teacher": TEACHER,
    "bundled/photo_tiny_vae": PHOTO_TINY_VAE,
    "bundled/tiny_vae": TINY_VAE,
}


def name_of(path: Path) -> str:
    """What a file of weights is called where it is told: its name, or `bundled/...`."""
    names = [name for name, file in BUNDLED.items() if file == path.resolve()]
    return names[0] if names else path.name
