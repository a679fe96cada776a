"""The trajectory editor's node: the browser draws, Python reads what was drawn, checks it and re-samples it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy_api.latest import io
from PIL import Image
from torch import Tensor

from ...motionstream_core.files import new_file
from ...motionstream_core.tracks import Canvas, Document, TrackFormatError, parse_document, to_coordinate_json
from ..frame_fit import opaque
from ..host.preview import has_client
from ..sockets import advanced, schema
from .inputs import ALIASES, is_checked_late, length_input, tracks_output, video_size_inputs

DEFAULT_FPS = 16
TIMES = ("stretch", "keep")


class MotionStreamTrackEditor(io.ComfyNode):
    """A drawing of trajectories to TRACKS. One text holds all of it, so it runs without a browser too."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamTrackEditor",
            display_name="MotionStream Track Editor",
            category="MotionStream/tracks",
            description="Draw over the image what shall move, how and when: paths, live drags, grids that move as one, "
            "points that stay. Works without a browser as well: the drawing is one JSON text.",
            search_aliases=[
                "spline",
                "drag",
                *ALIASES,
                "draw",
                "bezier",
                "motion brush",
                "keyframes",
                "timeline",
                "coordinates",
                "WanMove",
                "ATI",
            ],
            inputs=[
                io.String.Input(
                    "document",
                    default="",
                    tooltip="The drawing, as versioned JSON of control points and times (docs/tracks-format.md). The "
                    "editor writes it; empty means that nothing moves.",
                ),
                *video_size_inputs(),
                length_input(),
                io.Combo.Input(
                    "time",
                    options=list(TIMES),
                    default=TIMES[0],
                    tooltip="Where the drawing has another number of frames than length. stretch: the whole drawing "
                    "over the whole video; keep: frames keep their numbers, what lies past the end is cut.",
                    **advanced(),
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The picture to draw over. From a Load Image node it is shown at once, from others after "
                    "the first run. It changes nothing in the outputs.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="An object, for the object brush: its button with the mask makes points of what is covered "
                    "here, which then move together. It changes nothing in the outputs.",
                ),
            ],
            outputs=[
                tracks_output("The trajectories, `length` samples each, as core's TRACKS; grids spread out."),
                io.String.Output(
                    "json",
                    display_name="json",
                    tooltip="The same as plain JSON: nested lists of equal length, in px of the video, v 0 or 1.",
                ),
                io.Int.Output("num_frames", display_name="length", tooltip="The number of frames, for the sampler."),
                io.Int.Output("drawn_width", display_name="width", tooltip="Width in px that the tracks refer to."),
                io.Int.Output("drawn_height", display_name="height", tooltip="Height in px that the tracks refer to."),
            ],
        )

    @classmethod
    def validate_inputs(cls, document: str | None) -> bool | str:
        try:
            if document is not None and not is_checked_late(document):
                _parsed(document, 1, 1, 1)
        except TrackFormatError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        document: str,
        width: int,
        height: int,
        length: int,
        time: str,
        image: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        drawn = _parsed(document, width, height, length)
        tracks = drawn.sample(length, height, width, keep_time=time == "keep")
        result = (tracks.to_payload(), to_coordinate_json(tracks), length, width, height)
        if not has_client():
            return io.NodeOutput(*result)
        shown = {} if image is None else {"motionstream_picture": [_saved_picture(image)]}
        if mask is not None:
            frame = mask.reshape(-1, *mask.shape[-2:])[:1]
            shown["motionstream_mask"] = [_saved_picture(frame[..., None].expand(-1, -1, -1, 3))]
        return io.NodeOutput(*result, ui=shown) if shown else io.NodeOutput(*result)


def _parsed(document: str, width: int, height: int, length: int) -> Document:
    try:
        return parse_document(document, Canvas(width, height, length, DEFAULT_FPS))
    except TrackFormatError as error:
        raise TrackFormatError(f"document: {str(error).removeprefix('document: ')}") from None


def _saved_picture(image: Tensor) -> dict[str, Any]:
    """The first picture in ComfyUI's temporary folder, once per content, as the browser asks for it."""
    pixels = (opaque(image[:1])[0].detach().cpu().float().clamp(0, 1) * 255 + 0.5).to(torch.uint8).contiguous().numpy()
    name = f"motionstream_{hashlib.sha256(f'{pixels.shape}'.encode() + pixels.tobytes()).hexdigest()[:16]}.png"
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / name).is_file():
        with new_file(folder / name) as file:
            Image.fromarray(pixels).save(file, format="PNG", compress_level=1)
    return {"filename": name, "subfolder": "", "type": "temp"}
