"""The point trackers that a node offers, and CoTracker3's checkpoints in the host's models folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import comfy.model_patcher
import folder_paths
import torch

from ...motionstream_core.tracks.extract.cotracker import LICENCE, CoTracker3, CoTracker3Online
from ...motionstream_core.tracks.extract.flow import FlowKind
from ...motionstream_core.tracks.extract.tracker import OpenCvTracker, Tracker

FOLDER = "cotracker"
SUFFIX = ".pth"
AUTO = "auto"
OPENCV: dict[str, tuple[FlowKind, str]] = {
    "opencv": ("lucas_kanade", "OpenCV (pyramidal Lucas-Kanade), no weights"),
    "opencv dis": ("dis", "OpenCV (dense inverse search flow), no weights"),
}
COTRACKERS = {"cotracker3 offline": CoTracker3, "cotracker3 online": CoTracker3Online}
USUAL_FILES = {"cotracker3 offline": "scaled_offline.pth", "cotracker3 online": "scaled_online.pth"}
TRACKERS = (*OPENCV, *COTRACKERS)
TRACKER_TOOLTIP = (
    "opencv: needs no weights and no GPU; opencv dis: the same on dense flow, as good. cotracker3: better on fast "
    "motion and through occlusion; needs your own install of facebookresearch/co-tracker and a checkpoint in "
    "models/cotracker. offline sees the whole clip at once, "
    f"online goes in windows of 16 frames, for long videos. CoTracker3's licence: {LICENCE}."
)


@dataclass(frozen=True)
class HostedTracker:
    """A tracker, what it is and under which licence, and its place in the host's memory.

    patcher: None where there are no weights. The host forgets weights whose patcher nobody holds: keep this object for
    as long as the tracker is used, and hand it to `models.make_ready` with what is to lie beside it.
    """

    tracker: Tracker
    about: str
    patcher: Any = None
    plain: bool = True

    @property
    def weighty(self) -> tuple[HostedTracker, ...]:
        """What make_ready is to be told of."""
        return () if self.patcher is None else (self,)


def register_folder() -> None:
    """Tell ComfyUI of models/cotracker, beside whatever extra_model_paths.yaml or another pack has told it."""
    default = os.path.join(folder_paths.models_dir, FOLDER)
    paths, suffixes = folder_paths.folder_names_and_paths.get(FOLDER, ([], set()))
    folder_paths.folder_names_and_paths[FOLDER] = (list(dict.fromkeys([*paths, default])), {*suffixes, SUFFIX})


def checkpoint_options() -> list[str]:
    """auto, then every checkpoint in models/cotracker."""
    return [AUTO, *(name for name in folder_paths.get_filename_list(FOLDER) if name.endswith(SUFFIX))]


def load_tracker(kind: str, checkpoint: str) -> HostedTracker:
    """The tracker of one of TRACKERS, on its device.

    Raises ImportError saying how to get a package that is missing, FileNotFoundError naming a missing checkpoint.
    """
    if kind in OPENCV:
        flow, about = OPENCV[kind]
        return HostedTracker(OpenCvTracker(flow=flow), about)
    name = USUAL_FILES[kind] if checkpoint == AUTO else checkpoint
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None:
        raise FileNotFoundError(
            f"{name!r} is not in models/{FOLDER} ({folder_paths.get_folder_paths(FOLDER)[0]}). Download it from the "
            f"model page facebook/cotracker3 on Hugging Face and put it there. Licence: {LICENCE}"
        )
    tracker = COTRACKERS[kind].load(Path(path), torch.device("cpu"))
    # The host's own patcher, so that other models make room for it and it for them.
    patcher = comfy.model_patcher.ModelPatcher(
        tracker.predictor, load_device=mm.get_torch_device(), offload_device=mm.unet_offload_device()
    )
    mm.load_models_gpu([patcher], force_full_load=True)
    tracker.device = patcher.load_device
    return HostedTracker(tracker, f"CoTracker3 ({name}), licence {LICENCE}", patcher)
