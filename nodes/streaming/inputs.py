"""The inputs that both samplers have, once."""

from __future__ import annotations

from comfy_api.latest import io

from ..frame_fit import FIT_TOOLTIP, PICTURE_FITS
from ..sockets import MotionSocket, TracksSocket, advanced, vae_input
from .request import SIZE_TOOLTIP

VAE_TOOLTIP = (
    "The VAE that belongs to the model: from Load MotionStream Tiny VAE (fast), or Wan's full VAE from core's Load VAE."
)
DECODER_TOOLTIP = (
    "Decodes in place of vae, which then encodes the image alone: with Wan's full VAE there and a tiny one here, "
    "frames come as fast as the tiny one makes them. For Track-v0 and its kin, whose image a tiny VAE cannot encode."
)
MOTION_TOOLTIP = (
    "Trajectories to follow: TRACKS of any node, brought to the video from the size that they were made for, by fit; "
    "those that name no size are in px of the video. "
    "After a track's last sample its point is let go. Without motion the model moves things as it likes; a model that "
    "was made without tracks refuses them."
)


def decoder_input() -> io.Input:
    """A second VAE; the last input of its node."""
    return vae_input(DECODER_TOOLTIP, "decoder", optional=True)


def size_inputs() -> list[io.Input]:
    """width and height, 0 for the trained size."""
    return [
        io.Int.Input("width", default=0, min=0, max=8192, step=16, tooltip=SIZE_TOOLTIP.format(side="Width")),
        io.Int.Input("height", default=0, min=0, max=8192, step=16, tooltip=SIZE_TOOLTIP.format(side="Height")),
    ]


def image_input() -> io.Input:
    """The first frame."""
    return io.Image.Input(
        "image",
        optional=True,
        tooltip="The first frame: one picture. A batch is refused; pick one of it with ImageFromBatch. An alpha "
        "channel is dropped. Leave it empty for a text-to-video model, and only there.",
    )


def motion_input() -> io.Input:
    """TRACKS, or what MotionStream Track Head of older workflows makes of them."""
    return io.MultiType.Input("motion", types=[MotionSocket, TracksSocket], optional=True, tooltip=MOTION_TOOLTIP)


def fit_input(display_name: str = "fit") -> io.Input:
    """How an image comes to the size of the video."""
    return io.Combo.Input(
        "fit",
        display_name=display_name,
        options=list(PICTURE_FITS),
        default="crop",
        tooltip=f"How an image of another size comes to width x height. {FIT_TOOLTIP} Tracks that name another "
        "size come along.",
        **advanced(),
    )


def clip_inputs(length: io.Input) -> list[io.Input]:
    """vae, image, prompt, motion, width, height, length, fit."""
    return [
        vae_input(VAE_TOOLTIP),
        image_input(),
        io.String.Input(
            "prompt",
            multiline=True,
            default="",
            tooltip="What the video shows, for models that read it themselves. The bundled models know few words: the "
            "loader's output `about` lists them, and an unknown word is an error that names it. For Wan models leave "
            "it empty and connect positive.",
        ),
        motion_input(),
        *size_inputs(),
        length,
        fit_input(),
    ]


def steps_input() -> io.Input:
    """Denoise steps of a student."""
    return io.Int.Input(
        "steps",
        default=-1,
        min=-1,
        max=100,
        tooltip="Denoise steps per chunk, evenly spread; -1 (or 0): the checkpoint's own list.",
        **advanced(),
    )


def clip_vision_input() -> io.Input:
    """The image as CLIP Vision sees it."""
    return io.ClipVisionOutput.Input(
        "clip_vision_output",
        optional=True,
        tooltip="The image as CLIP Vision sees it (CLIPVisionEncode), for models that look at it so: Wan 2.1 "
        "image-to-video and those made from it, Track-v0 among them.",
    )


def positive_input() -> io.Input:
    """A prompt read by core."""
    return io.Conditioning.Input(
        "positive",
        optional=True,
        tooltip="What the video shows, for Wan models: core's CLIPTextEncode with UMT5 (CLIPLoader, type wan). Tracks "
        "and CLIP Vision that MotionStream Apply Motion put into it are used too.",
    )
