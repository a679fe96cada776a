"""ICC profiles of pictures: colours of a wider or another space, as phones and presses have, in sRGB."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

MOST_BYTES = 8 * 2**20  # of a press's profile; a camera's has 500
SAME_WITHIN = 2
"""A profile that changes no colour by more levels is sRGB itself, in another program's words."""
_SPACES = {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY"}


def in_srgb(picture: Image.Image) -> Image.Image:
    """A picture of 8 bits in sRGB by its ICC profile, its transparency kept.

    Without a profile it is left as it is, and so it is with one that is broken or of another kind than its pixels, as
    viewers do.
    """
    content = picture.info.get("icc_profile")
    if not isinstance(content, bytes) or not 0 < len(content) <= MOST_BYTES:
        return picture
    colours = picture if picture.mode in _SPACES else picture.convert("L" if picture.mode in ("LA", "1") else "RGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        if profile.profile.xcolor_space.strip() != _SPACES[colours.mode]:
            return picture
        made = _transformed(colours, profile)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    if made is None:
        return picture
    made.putalpha(picture.convert("RGBA").getchannel("A"))
    return made


def _transformed(colours: Image.Image, profile: Any) -> Image.Image | None:
    """RGB by the profile; None where it is sRGB's own."""
    target = ImageCms.createProfile("sRGB")
    transform: Any = ImageCms.buildTransform(profile, target, colours.mode, "RGB")
    if colours.mode == "RGB":
        steps = np.arange(0, 256, 15, dtype=np.uint8)
        cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3)
        changed = np.asarray(ImageCms.applyTransform(Image.fromarray(cube), transform))
        if np.abs(changed.astype(int) - cube).max() <= SAME_WITHIN:
            return None
    return ImageCms.applyTransform(colours, transform)
