"""What a stream goes on from: frames or a VIDEO whose end it takes up, or a saved stream."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ...motionstream_core.streaming.going_on import Before
from ...motionstream_core.streaming.past import last_frames, past_frames
from ...motionstream_core.streaming.state_file import read_state
from ..frame_fit import Size, fit_image
from ..host.model import StreamModel
from ..host.vae import Vae
from ..sockets import StreamFile, StreamSocket
from ..tracks.footage import footage

Given = Tensor | StreamFile | Any
"""Frames (t h w 3 or 4) in [0, 1], a saved stream, or the host's VIDEO."""


def go_on_input() -> io.Input:
    """The video or the stream that goes on; the last input of its node, with what belongs to it."""
    return io.MultiType.Input(
        "go_on_from",
        types=[io.Image, io.Video, StreamSocket],
        optional=True,
        tooltip="A video that goes on, in place of an image: its frames (IMAGE, VIDEO), of which the last ones are "
        "used, or a saved stream (MotionStream Load Stream). Only what is new comes out; length counts that. The first "
        "sample of motion is where things are in the last frame.",
    )


def save_stream_input() -> io.Input:
    """Where the stream's state is saved when it ends."""
    return io.String.Input(
        "save_stream",
        default="",
        optional=True,
        tooltip="Saves the stream's memory when it ends or is cancelled, so that MotionStream Load Stream can take it "
        "up again: name below ComfyUI's output folder, a number is added. Empty: not saved.",
    )


def read_before(model: StreamModel, vae: Vae, given: Given, size: Size, asked: Size, fit: str) -> Before:
    """What was before.

    size: of the video that goes on from frames; asked: as the user gave it, 0 for any. Raises ValueError that begins
    with the input's name.
    """
    try:
        if isinstance(given, StreamFile):
            state = read_state(given.path, model.maker, vae, vae.patcher.load_device)
            for side, wanted, kept in zip(("height", "width"), asked, state.size, strict=True):
                if wanted not in (0, kept):
                    raise ValueError(f"the saved stream is {kept} px in {side}, not {wanted}; set {side} to 0")
            return Before(state=state)
        if not isinstance(given, Tensor):
            frames = last_frames(model.spec, footage(given, None, 0.0).frames)
            given = torch.from_numpy(frames).float() / 255
        if given.ndim != 4 or given.shape[3] not in (3, 4):
            raise ValueError(f"it has shape {tuple(given.shape)}; it must be frames (t h w 3)")
        last = given[-past_frames(model.spec, len(given)) :]
        return Before(torch.cat([fit_image(each[None], size, fit) for each in last], dim=2))
    except ValueError as error:
        raise ValueError(f"go_on_from: {error}") from None
