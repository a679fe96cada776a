"""The pack's nodes. This folder is the only Python that may import ComfyUI; all method lives in motionstream_core."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .camera_nodes import MotionStreamCameraFromJSON, MotionStreamCameraMove
from .camera_track_node import MotionStreamCameraTracks
from .extraction_nodes import MotionStreamExtractTracks, MotionStreamTransferTracks
from .follow_node import MotionStreamFollowVideo
from .loaders import MotionStreamLoadModel, MotionStreamLoadTinyVAE
from .motion_nodes import MotionStreamDrawTracks, MotionStreamTrackHead
from .native_nodes import (
    MotionStreamApplyMotion,
    MotionStreamJointGuider,
    MotionStreamSigmas,
    MotionStreamTextEncode,
)
from .sampling import MotionStreamDecode, MotionStreamTeacherSampler
from .stream import MotionStreamStudentStreamer
from .track_editor import MotionStreamTrackEditor
from .track_file_nodes import (
    MotionStreamLoadTracks,
    MotionStreamSaveTracks,
    MotionStreamTracksToATI,
    MotionStreamTracksToJSON,
)
from .track_filter_nodes import MotionStreamFilterTracks, MotionStreamTracksFromMask
from .track_nodes import MotionStreamPointGrid, MotionStreamTracksFromJSON
from .track_preview import MotionStreamPreviewTracks
from .track_time_nodes import MotionStreamRetimeTracks, MotionStreamSmoothTracks
from .track_transform_nodes import MotionStreamMergeTracks, MotionStreamRescaleTracks, MotionStreamTransformTracks

NODES: list[type[io.ComfyNode]] = [
    MotionStreamLoadModel,
    MotionStreamLoadTinyVAE,
    MotionStreamTrackEditor,
    MotionStreamTracksFromJSON,
    MotionStreamPointGrid,
    MotionStreamTracksFromMask,
    MotionStreamMergeTracks,
    MotionStreamTransformTracks,
    MotionStreamRetimeTracks,
    MotionStreamSmoothTracks,
    MotionStreamFilterTracks,
    MotionStreamRescaleTracks,
    MotionStreamTracksToJSON,
    MotionStreamTracksToATI,
    MotionStreamSaveTracks,
    MotionStreamLoadTracks,
    MotionStreamPreviewTracks,
    MotionStreamExtractTracks,
    MotionStreamTransferTracks,
    MotionStreamCameraMove,
    MotionStreamCameraFromJSON,
    MotionStreamCameraTracks,
    MotionStreamTrackHead,
    MotionStreamDrawTracks,
    MotionStreamStudentStreamer,
    MotionStreamFollowVideo,
    MotionStreamTeacherSampler,
    MotionStreamTextEncode,
    MotionStreamApplyMotion,
    MotionStreamJointGuider,
    MotionStreamSigmas,
    MotionStreamDecode,
]


class MotionStreamExtension(ComfyExtension):
    """What ComfyUI asks for the list of nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node class of this pack."""
        return NODES
