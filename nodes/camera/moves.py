"""Nodes that say how a camera moves: one move after another, or JSON of moves or poses."""

from __future__ import annotations

from dataclasses import dataclass, replace

from comfy_api.latest import io

from ...motionstream_core.tracks import TrackFormatError
from ...motionstream_core.tracks.camera.moves import MAX_SEED, MOVES, Move
from ...motionstream_core.tracks.camera.parse import CameraFile, parse_camera
from ...motionstream_core.tracks.easing import EASINGS
from ..sockets import advanced, schema
from ..tracks.inputs import frames_input, is_checked_late

CameraSocket = io.Custom("MOTIONSTREAM_CAMERA")
CAMERA_ALIASES = ["camera", "camera motion", "pan", "zoom", "orbit", "dolly"]
EASING_TOOLTIP = "linear: at an even pace; ease_in: starts slowly; ease_out: ends slowly; ease_in_out: both."


@dataclass(frozen=True)
class Camera:
    """What a camera does: moves, over poses where there are any.

    poses_text: the JSON that the poses come from, read again where the video's size is known. easing: their pace.
    """

    moves: tuple[Move, ...] = ()
    poses_text: str | None = None
    easing: str = "linear"

    def poses(self, height: int, width: int) -> CameraFile:
        """The poses, px of `height` x `width` unless they name a size; without poses an empty CameraFile."""
        return parse_camera(self.poses_text, height, width) if self.poses_text is not None else CameraFile()


class MotionStreamCameraMove(io.ComfyNode):
    """One move of a camera, beside those before it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamCameraMove",
            display_name="MotionStream Camera Move",
            category="MotionStream/camera",
            description="One move of a camera over some frames. Chain several for moves that overlap or follow each "
            "other; then connect Camera Tracks.",
            search_aliases=[*CAMERA_ALIASES, "tilt", "roll", "truck", "pedestal", "hand-held", "shake"],
            inputs=[
                io.Combo.Input(
                    "move",
                    options=list(MOVES),
                    default=MOVES[0],
                    tooltip="pan, tilt, roll: the camera turns. dolly, truck, pedestal: it moves forward, sideways, "
                    "up. orbit: it circles what it looks at. zoom: a longer lens. handheld: it shakes smoothly.",
                ),
                io.Float.Input(
                    "amount",
                    default=10.0,
                    min=-360.0,
                    max=360.0,
                    step=0.01,
                    tooltip="pan, tilt, roll, orbit: degrees to the right, up, clockwise, to the right. dolly, truck, "
                    "pedestal: forward, right, up, in distances of what the camera looks at (dolly 0.5: half the way "
                    "to it). zoom: factor (2: twice as large). handheld: degrees of the shake. A negative amount goes "
                    "the other way.",
                ),
                frames_input("start", 0, "The first frame of the move."),
                frames_input("duration", 48, "Frames that it takes; 0: it happens at once. After it the camera rests."),
                io.Combo.Input(
                    "easing",
                    options=list(EASINGS),
                    default=EASINGS[0],
                    tooltip=f"{EASING_TOOLTIP} A handheld camera shakes as it likes.",
                ),
                io.Int.Input(
                    "shake_seed",
                    default=0,
                    min=0,
                    max=MAX_SEED,
                    tooltip="Which shake a handheld camera makes.",
                    **advanced(),
                ),
                CameraSocket.Input(
                    "camera",
                    optional=True,
                    tooltip="Moves and poses that this one adds to. Their order means nothing: all act at their time.",
                ),
            ],
            outputs=[
                CameraSocket.Output("moved_camera", display_name="camera", tooltip="The camera with this move too.")
            ],
        )

    @classmethod
    def validate_inputs(cls, move: str | None, amount: float | None) -> bool | str:
        try:
            if move is not None and amount is not None:  # None: the input is linked, and its value not known yet
                Move(move, amount, 0, 0)
        except TrackFormatError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        move: str,
        amount: float,
        start: int,
        duration: int,
        easing: str,
        shake_seed: int,
        camera: Camera | None = None,
    ) -> io.NodeOutput:
        shakes = move == "handheld"
        made = Move(move, amount, start, duration, "linear" if shakes else easing, shake_seed if shakes else 0)
        before = camera or Camera()
        return io.NodeOutput(replace(before, moves=(*before.moves, made)))


class MotionStreamCameraFromJSON(io.ComfyNode):
    """A camera from a list of moves or poses."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamCameraFromJSON",
            display_name="MotionStream Camera from JSON",
            category="MotionStream/camera",
            description="Reads a camera from text: a list of moves, or of intrinsics and camera-to-world poses, as "
            "reconstructions and other programs give them (docs/camera.md). Malformed text is an error that names "
            "field and value.",
            search_aliases=[*CAMERA_ALIASES, "poses", "intrinsics", "extrinsics", "COLMAP", "camera trajectory"],
            inputs=[
                io.String.Input(
                    "text",
                    multiline=True,
                    placeholder='[{"move": "pan", "amount": 10, "start": 0, "duration": 48}]',
                    tooltip='A list of moves {"move", "amount", "start", "duration", "easing"}; or of poses '
                    '{"intrinsics": [fx, fy, cx, cy], "camera_to_world": 4 rows of 4}, OpenCV axes, of which the '
                    'first took the picture; or {"poses": [...], "width", "height", "sparse_points": [[x, y, depth], '
                    "...]}. Poses are spread over the whole video.",
                ),
                io.Combo.Input(
                    "easing",
                    options=list(EASINGS),
                    default=EASINGS[0],
                    tooltip=f"The pace of poses over the video. {EASING_TOOLTIP} Moves have their own.",
                    **advanced(),
                ),
                CameraSocket.Input(
                    "camera", optional=True, tooltip="A camera to add to. Moves are made in the axes of the poses."
                ),
            ],
            outputs=[
                CameraSocket.Output(
                    "read_camera", display_name="camera", tooltip="The camera, for Camera Tracks or more moves."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, text: str | None) -> bool | str:
        try:
            if text is not None and not is_checked_late(text):
                parse_camera(text, 1, 1)
        except TrackFormatError as error:
            return _named(error)
        return True

    @classmethod
    def execute(cls, text: str, easing: str, camera: Camera | None = None) -> io.NodeOutput:
        try:
            read = parse_camera(text, 1, 1)
        except TrackFormatError as error:
            raise TrackFormatError(_named(error)) from None
        before = camera or Camera()
        if read.poses is None:
            return io.NodeOutput(replace(before, moves=before.moves + read.moves))
        if before.poses_text is not None:
            raise ValueError("camera: it has poses already, and one camera cannot follow two lists; leave one out")
        return io.NodeOutput(Camera(before.moves, text, easing))


def _named(error: TrackFormatError) -> str:
    """The parser's message, with the input's name before the place."""
    return f"text: {str(error).removeprefix('camera: ')}"
