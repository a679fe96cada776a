"""Folders of clips that a model is judged on: DAVIS, plain videos, and photographed scenes with COLMAP's cameras.

    DAVIS    <folder>/JPEGImages/<480p or another size>/<clip>/00000.jpg ...; lists of clips in ImageSets/*/<split>.txt
    videos   <folder>/**/<clip>.mp4 (or mkv, webm, mov, avi, m4v)
    scenes   <folder>/<scene>/sparse/0 and <scene>/images*/ ... (LLFF), or one such scene itself

Captions come from `captions.json` in the folder ({"<clip>": "<caption>"}) or `<clip>.txt` beside a video.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from ...media.frames import Frames, FrameSource, at_rate
from ...media.picture import PICTURE_SUFFIXES, picture_size, read_picture
from ...media.video import VIDEO_SUFFIXES, VideoFrames, videos_below
from ...tracks.text import text_in
from .colmap import registered_names

Layout = Literal["davis", "videos", "scenes"]
DAVIS_FPS = 24.0  # pictures carry no times; the clips of DAVIS are published at this rate


@dataclass(frozen=True)
class Footage:
    """A clip of a dataset before anything is read of it.

    name: distinct in its dataset, fit for a folder's name. path: a video file, a folder of pictures, or a scene's
    folder. fps: of pictures; videos bring their own. caption: None where the dataset has none.
    """

    name: str
    path: Path
    layout: Layout
    fps: float | None = None
    caption: str | None = None

    def told(self) -> list[str]:
        """What is done to the stored frames of a video, in words. Raises as `VideoFrames`."""
        return VideoFrames(self.path).display.told() if self.layout == "videos" else []

    def open(self, most_fps: float | None = None) -> tuple[FrameSource, float | None]:
        """The frames and their rate; None where frames have no times (a scene's photographs).

        Of a video that was recorded at uneven times, those nearest to an even rate, its usual one or `most_fps`.
        """
        if self.layout == "videos":
            video = VideoFrames(self.path)
            if video.is_even:
                return video, video.fps or None
            fps = video.fps if most_fps is None else min(video.fps, most_fps)
            return at_rate(video, fps), fps
        pictures = scene_photographs(self.path) if self.layout == "scenes" else pictures_in(self.path)
        return PictureFrames(tuple(pictures)), self.fps


@dataclass(frozen=True)
class PictureFrames:
    """A `FrameSource` over picture files of one size, in that order."""

    paths: tuple[Path, ...]
    _size: tuple[int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.paths:
            raise ValueError("there are no pictures")
        object.__setattr__(self, "_size", picture_size(self.paths[0]))

    @property
    def num_frames(self) -> int:
        return len(self.paths)

    @property
    def height(self) -> int:
        return self._size[0]

    @property
    def width(self) -> int:
        return self._size[1]

    def read(self, start: int, stop: int) -> Frames:
        """Raises ValueError naming a picture of another size."""
        return np.stack([self._one(path) for path in self.paths[start:stop]])

    def _one(self, path: Path) -> Frames:
        picture = read_picture(path).pixels
        if picture.shape[:2] != self._size:
            height, width = picture.shape[:2]
            raise ValueError(f"{path} is {width}x{height} px, the first picture {self.width}x{self.height}")
        return picture


def find_footage(folder: str | Path, split: str | None = None) -> tuple[Footage, ...]:
    """All clips of a dataset, in the order of their names.

    split: for DAVIS, the clips that ImageSets/*/<split>.txt names (the newest list of several). Raises
    FileNotFoundError for a folder or a split that is not there, ValueError for a folder with none of the three layouts.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"DATASET: there is no folder {folder}")
    if (folder / "JPEGImages").is_dir():
        found = _davis(folder, split)
    elif split is not None:
        raise ValueError(f"split {split!r} is for DAVIS's layout, and {folder} has no JPEGImages")
    else:
        found = _scenes(folder) or _videos(folder)
    if not found:
        raise ValueError(
            f"{folder} is no dataset: it has neither JPEGImages/<size>/<clip>/ (DAVIS) nor <scene>/sparse/0 (LLFF with "
            f"COLMAP's cameras) nor video files ({', '.join(VIDEO_SUFFIXES)})"
        )
    return _captioned(folder, found)


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)


def scene_photographs(scene: Path) -> list[Path]:
    """A scene's photographs that COLMAP placed, in the order of the names it knows them by.

    They lie in `images`, or else in the least reduced of `images_4`, `images_8` and so on, under their own names or,
    where all have others (LLFF's reduced folders), in the same order. Raises FileNotFoundError for what is missing.
    """
    folders = [each for each in scene.glob("images*") if each.is_dir() and pictures_in(each)]
    if not folders:
        raise FileNotFoundError(f"{scene} has cameras in sparse/0 but no folder images with photographs")
    folder = min(folders, key=_reduction)
    names, files = registered_names(scene / "sparse" / "0"), pictures_in(folder)
    if outside := [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]:
        raise ValueError(f"{scene / 'sparse' / '0'} names {outside[0]!r}, which lies outside {folder}")
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        return [folder / name for name in names]
    if len(missing) == len(names) == len(files):
        return files
    raise FileNotFoundError(f"{folder} lacks {missing[0]}, which the cameras in sparse/0 name")


def _reduction(folder: Path) -> tuple[int, str]:
    number = folder.name.removeprefix("images").strip("_")
    return (int(number) if number.isdecimal() else 1, folder.name)


def _davis(folder: Path, split: str | None) -> list[Footage]:
    sizes = sorted(each for each in (folder / "JPEGImages").iterdir() if each.is_dir())
    if not sizes:
        return []
    root = next((each for each in sizes if each.name == "480p"), sizes[0])
    clips = [each for each in sorted(root.iterdir()) if each.is_dir() and pictures_in(each)]
    if split is not None:
        lists = sorted(folder.glob(f"ImageSets/*/{split}.txt"))
        if not lists:
            raise FileNotFoundError(f"split {split!r}: there is no {folder}/ImageSets/*/{split}.txt")
        wanted = {Path(word).name for word in text_in(lists[-1]).split()}
        clips = [each for each in clips if each.name in wanted]
    return [Footage(each.name, each, "davis", DAVIS_FPS) for each in clips]


def _videos(folder: Path) -> list[Footage]:
    files = videos_below(folder)
    relative = [each.relative_to(folder) for each in files]
    names = ["_".join(each.with_suffix("").parts) for each in relative]
    counts = Counter(names)
    # where two come to one name, their folders tell them apart and the suffix stays
    chosen = [name if counts[name] == 1 else "__".join(each.parts) for name, each in zip(names, relative, strict=True)]
    if len(set(chosen)) != len(chosen) or {".", ".."} & set(chosen):
        raise ValueError(f"{folder}: two videos come to one name, or one has none; rename them")
    return [Footage(name, each, "videos") for name, each in zip(chosen, files, strict=True)]


def _scenes(folder: Path) -> list[Footage]:
    scenes = [folder] if (folder / "sparse" / "0").is_dir() else []
    scenes = scenes or sorted(each.parent.parent for each in folder.glob("*/sparse/0") if each.is_dir())
    return [Footage(each.resolve().name, each, "scenes") for each in scenes]


def _captioned(folder: Path, found: list[Footage]) -> tuple[Footage, ...]:
    captions = {}
    if (folder / "captions.json").is_file():
        captions = _captions(folder / "captions.json")
        if unknown := sorted(captions.keys() - {each.name for each in found}):
            raise ValueError(f"{folder / 'captions.json'} names {unknown[0]!r}, which is no clip of {folder}")
    captioned = []
    for each in found:
        beside = each.path.with_suffix(".txt")
        caption = captions.get(each.name)
        if caption is None and each.layout == "videos" and beside.is_file():
            caption = " ".join(text_in(beside).split())
        captioned.append(Footage(each.name, each.path, each.layout, each.fps, caption))
    return tuple(captioned)


def _captions(path: Path) -> dict[str, str]:
    """Captions by clip. Raises ValueError for any other file."""
    try:
        captions = json.loads(text_in(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({error})") from None
    if not isinstance(captions, dict) or not all(isinstance(each, str) for each in captions.values()):
        raise ValueError(f'{path} must be an object of captions by clip: {{"clip": "caption"}}')
    return captions
