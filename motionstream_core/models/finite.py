"""What is no number is found where it comes in, and where it is made: it spreads over everything after it."""

from __future__ import annotations

from torch import Tensor


def require_finite_image(image: Tensor) -> None:
    """Raise ValueError for an image of any form with a value that is NaN or infinite."""
    wrong = image.numel() - int(image.isfinite().sum())
    if wrong:
        raise ValueError(
            f"image: {wrong} of its {image.numel()} values are NaN or infinite; the node or file that it comes from is "
            f"to blame (a VAE in fp16 does so)"
        )


def require_finite_latents(finite: Tensor, where: str) -> None:
    """Raise ValueError unless `finite`, which latents.isfinite().all() gave, is true; this waits for the device."""
    if not finite:
        raise ValueError(
            f"{where}: the model's latents are NaN or infinite; its weights are broken, or the precision is too low "
            f"for them (fp16): try bf16 or fp32, and get the file anew"
        )
