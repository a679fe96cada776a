"""The pack's nodes. This folder is the only Python that may import ComfyUI; all method lives in motionstream_core."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .loaders import MotionStreamLoadModel, MotionStreamLoadTinyVAE
from .motion_nodes import MotionStreamDrawTracks, MotionStreamTrackHead
from .sampling import MotionStreamDecode, MotionStreamTeacherSampler
from .stream import MotionStreamStudentStreamer
from .track_editor import MotionStreamTrackEditor
from .track_nodes import MotionStreamPointGrid, MotionStreamTracksFromJSON

NODES: list[type[io.ComfyNode]] = [
    MotionStreamLoadModel,
    MotionStreamLoadTinyVAE,
    MotionStreamTrackEditor,
    MotionStreamTracksFromJSON,
    MotionStreamPointGrid,
    MotionStreamTrackHead,
    MotionStreamDrawTracks,
    MotionStreamStudentStreamer,
    MotionStreamTeacherSampler,
    MotionStreamDecode,
]


class MotionStreamExtension(ComfyExtension):
    """What ComfyUI asks for the list of nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node class of this pack."""
        return NODES
