"""The inputs that both samplers have, once."""

from __future__ import annotations

from comfy_api.latest import io

from .clip import SIZE_TOOLTIP
from .frame_fit import FIT_TOOLTIP, FITS
from .types import MotionSocket, VaeSocket, advanced


def clip_inputs(length_tooltip: str) -> list[io.Input]:
    """vae, image, prompt, motion, width, height, length, fit."""
    return [
        VaeSocket.Input("vae", tooltip="The VAE that belongs to the model, from Load MotionStream Tiny VAE."),
        io.Image.Input(
            "image",
            tooltip="The first frame: one picture. A batch is refused; pick one of it with ImageFromBatch. An alpha "
            "channel is dropped.",
        ),
        io.String.Input(
            "prompt",
            multiline=True,
            default="",
            tooltip="What the video shows. The bundled models know few words: the loader's output `about` lists them, "
            "and an unknown word is an error that names it.",
        ),
        MotionSocket.Input(
            "motion",
            optional=True,
            tooltip="Trajectories to follow, from MotionStream Track Head; its width and height must be those below. "
            "After a track's last sample its point is let go. Without motion the model moves things as it likes.",
        ),
        io.Int.Input("width", default=0, min=0, max=8192, step=16, tooltip=SIZE_TOOLTIP.format(side="Width")),
        io.Int.Input("height", default=0, min=0, max=8192, step=16, tooltip=SIZE_TOOLTIP.format(side="Height")),
        io.Int.Input("length", default=49, min=1, max=1_000_000, step=4, tooltip=length_tooltip),
        io.Combo.Input(
            "fit",
            options=list(FITS),
            default=FITS[0],
            tooltip=f"How an image of another size comes to width x height. {FIT_TOOLTIP} Tracks are in px of the "
            "video, after the fit.",
            **advanced(),
        ),
    ]
