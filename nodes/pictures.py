"""A picture and a reference video to begin with: bundled ones, chosen by their looks, or the user's own."""

from __future__ import annotations

from pathlib import Path

import folder_paths
import numpy as np
import torch
from comfy_api.latest import InputImpl, io
from numpy.typing import NDArray
from torch import Tensor

from ..motionstream_core.media.faults import MediaError
from ..motionstream_core.media.picture import read_levels, read_picture
from .sockets import advanced, schema

# The page shows them too, so they lie where it can load them from.
MEDIA = Path(__file__).parents[1] / "js" / "picker" / "bundled"
BUNDLED = "bundled/"
PICTURES = ("three_shapes", "dotted_things", "leaves")
VIDEOS = ("three_things_moving",)
BACKGROUND = "white"
BACKGROUNDS = {"white": (255, 255, 255), "grey": (128, 128, 128), "black": (0, 0, 0)}


class MotionStreamPicture(io.ComfyNode):
    """A bundled picture, or a file of ComfyUI's input folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamPicture",
            display_name="MotionStream Picture",
            category="MotionStream/loaders",
            description="A picture to begin with: a bundled one, so that every example runs as it is, or your own, "
            "chosen, dropped on the node or taken from the input folder.",
            search_aliases=["example picture", "load image", "first frame"],
            inputs=[
                io.Combo.Input(
                    "image",
                    options=_options(PICTURES, "image"),
                    default=BUNDLED + PICTURES[0],
                    tooltip="A bundled picture, or a file of ComfyUI's input folder: click one, or drop a file here.",
                ),
                io.Combo.Input(
                    "background",
                    options=list(BACKGROUNDS),
                    default=BACKGROUND,
                    optional=True,
                    tooltip="What shows where the picture is transparent.",
                    **advanced(),
                ),
            ],
            outputs=[
                io.Image.Output(
                    "picture", display_name="image", tooltip="The picture, upright, without alpha channel."
                ),
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="What there is to move: the things of three_shapes; of a picture with an alpha channel "
                    "what is opaque; else all of it.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, image: str | None) -> bool | str:
        return _found(image, PICTURES)

    @classmethod
    def fingerprint_inputs(cls, image: str | None, background: str | None = BACKGROUND) -> str:
        return _fingerprint(image)

    @classmethod
    def execute(cls, image: str, background: str = BACKGROUND) -> io.NodeOutput:
        path = _file(image)
        try:
            picture = read_picture(path, BACKGROUNDS[background])
        except MediaError as error:
            raise ValueError(f"image: {image} {error.fault}") from None
        mask = levels(picture.alpha)
        own_mask = path.with_suffix(".mask.png")
        if image.startswith(BUNDLED) and own_mask.is_file():
            mask = torch.from_numpy(read_levels(own_mask)).float()
        return io.NodeOutput(levels(picture.pixels)[None], mask[None])


class MotionStreamReferenceVideo(io.ComfyNode):
    """A bundled video, or a file of ComfyUI's input folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamReferenceVideo",
            display_name="MotionStream Reference Video",
            category="MotionStream/loaders",
            description="A video whose motion is to be taken over: the bundled one, or your own, chosen, dropped on "
            "the node or taken from the input folder.",
            search_aliases=["example video", "load video"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=_options(VIDEOS, "video"),
                    default=BUNDLED + VIDEOS[0],
                    tooltip="The bundled video, or a file of ComfyUI's input folder: click one, or drop a file here.",
                ),
            ],
            outputs=[io.Video.Output("video", display_name="video", tooltip="The video, read as it is needed.")],
        )

    @classmethod
    def validate_inputs(cls, file: str | None) -> bool | str:
        return _found(file, VIDEOS)

    @classmethod
    def fingerprint_inputs(cls, file: str | None) -> str:
        return _fingerprint(file)

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(InputImpl.VideoFromFile(str(_file(file))))


def _options(bundled: tuple[str, ...], kind: str) -> list[str]:
    """The bundled names, then the input folder's own files of that kind."""
    folder = Path(folder_paths.get_input_directory())
    names = sorted(each.name for each in folder.iterdir() if each.is_file()) if folder.is_dir() else []
    return [*(BUNDLED + name for name in bundled), *folder_paths.filter_files_content_types(names, [kind])]


def _file(name: str) -> Path:
    """The file that an option stands for. Raises ValueError or FileNotFoundError that name it and the remedy."""
    if name.startswith(BUNDLED):
        stem = name.removeprefix(BUNDLED)
        if stem not in (*PICTURES, *VIDEOS):
            raise FileNotFoundError(f"{name!r} is not bundled; there are {', '.join((*PICTURES, *VIDEOS))}")
        return MEDIA / f"{stem}{'.mp4' if stem in VIDEOS else '.png'}"
    plain, place = folder_paths.annotated_filepath(name)
    folder = Path(place or folder_paths.get_input_directory()).resolve()
    path = (folder / plain).resolve()
    if not path.is_relative_to(folder):
        raise ValueError(f"{name!r} leads out of ComfyUI's {folder.name} folder")
    if not path.is_file():
        raise FileNotFoundError(
            f"{name!r} is not in ComfyUI's {folder.name} folder; drop the file on the node, or choose another"
        )
    return path


def _found(name: str | None, bundled: tuple[str, ...]) -> bool | str:
    """Stands in for the host's "value not in list", which refuses files in subfolders."""
    try:
        if name is not None:  # None: the input is linked, and its value not known yet
            if name.startswith(BUNDLED) and name.removeprefix(BUNDLED) not in bundled:
                return f"{name!r} is not bundled; there are {', '.join(bundled)}"
            _file(name)
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    return True


def _fingerprint(name: str | None) -> str:
    """Changes when the file behind an option changes, so that the host reads it again."""
    if name is None:
        return "linked"
    try:
        state = _file(name).stat()
    except (FileNotFoundError, ValueError):
        return f"{name}: missing"
    return f"{name}: {state.st_size} bytes, {state.st_mtime_ns} ns"


def levels(values: NDArray[np.uint8]) -> Tensor:
    """Levels of any shape in [0, 1]."""
    return torch.from_numpy(values).float() / 255
