"""The pack's nodes. This folder is the only Python that may import ComfyUI; all method lives in motionstream_core."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .batch.manifest import MotionStreamManifestRow
from .batch.save import MotionStreamSaveJob
from .camera.moves import MotionStreamCameraFromJSON, MotionStreamCameraMove
from .camera.tracks import MotionStreamCameraTracks
from .host.length_route import add_length_route
from .host.live_routes import add_routes
from .loaders import MotionStreamLoadModel, MotionStreamLoadTinyVAE
from .lora import MotionStreamLoadLora
from .pictures import MotionStreamPicture, MotionStreamReferenceVideo
from .sampling.core_sampling import (
    MotionStreamApplyMotion,
    MotionStreamJointGuider,
    MotionStreamSigmas,
    MotionStreamTextEncode,
)
from .sampling.teacher import MotionStreamDecode, MotionStreamTeacherSampler
from .streaming.follow_video import MotionStreamFollowVideo
from .streaming.live import MotionStreamLive
from .streaming.saved import MotionStreamLoadStream
from .streaming.streamer import MotionStreamStudentStreamer
from .streaming.track_head import MotionStreamTrackHead
from .tracks.create import MotionStreamPointGrid, MotionStreamTracksFromJSON
from .tracks.draw import MotionStreamDrawTracks
from .tracks.editor import MotionStreamTrackEditor
from .tracks.exchange import (
    MotionStreamLoadTracks,
    MotionStreamSaveTracks,
    MotionStreamTracksToATI,
    MotionStreamTracksToJSON,
)
from .tracks.extract import MotionStreamExtractTracks, MotionStreamTransferTracks
from .tracks.filter import MotionStreamFilterTracks, MotionStreamTracksFromMask
from .tracks.preview import MotionStreamPreviewTracks
from .tracks.retime import MotionStreamRetimeTracks, MotionStreamSmoothTracks
from .tracks.transform import MotionStreamMergeTracks, MotionStreamRescaleTracks, MotionStreamTransformTracks

NODES: list[type[io.ComfyNode]] = [
    MotionStreamLoadModel,
    MotionStreamLoadTinyVAE,
    MotionStreamLoadLora,
    MotionStreamPicture,
    MotionStreamReferenceVideo,
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
    MotionStreamLoadStream,
    MotionStreamLive,
    MotionStreamFollowVideo,
    MotionStreamTeacherSampler,
    MotionStreamTextEncode,
    MotionStreamApplyMotion,
    MotionStreamJointGuider,
    MotionStreamSigmas,
    MotionStreamDecode,
    MotionStreamManifestRow,
    MotionStreamSaveJob,
]


class MotionStreamExtension(ComfyExtension):
    """What ComfyUI asks for the list of nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node class of this pack."""
        add_routes()
        add_length_route()
        return NODES
