"""A reference video read as a stream, and a student that follows it one chunk behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from comfy_api.latest import io
from torch import Tensor

from ...motionstream_core.media.frames import TimedFrames, forwards
from ...motionstream_core.streaming.online_tracks import OnlineTracks, chunk_delay
from ...motionstream_core.tracks import Tracks
from ...motionstream_core.tracks.extract.tracker import StreamTracker, grid_queries
from ...motionstream_core.tracks.select import covered
from ...motionstream_core.tracks.transfer import FITS, laid_over
from ..frame_fit import Size
from ..host.conditioning import require_track_head
from ..host.memory import with_memory_advice
from ..host.model import stream_model
from ..host.vae import stream_coders
from ..sockets import ModelSocket, advanced, schema, seed_input
from ..tracks.footage import Reference, footage
from ..tracks.trackers import AUTO, OPENCV, TRACKER_TOOLTIP, checkpoint_options, load_tracker
from .inputs import clip_inputs, clip_vision_input, decoder_input, fit_input, positive_input
from .length import WantedLength, length_input, seconds_input
from .output import SavedStream, video_of, video_output
from .request import plan_clip, read_text
from .run import StreamRun, stream_settings

STREAM_TRACKERS = (*OPENCV, "cotracker3 online")
FRAMES, SECONDS = "frames", "seconds"
ADVICE = "lower length, or width and height"


class MotionStreamFollowVideo(io.ComfyNode):
    """A student steered by a video while that is read."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        own = {"motion", "fit"}  # the video moves it; and two frames are fitted here, each under its name
        shared = [each for each in clip_inputs(length_input()) if each.id not in own]
        return schema(
            node_id="MotionStreamFollowVideo",
            display_name="MotionStream Follow Video",
            category="MotionStream/stream",
            description="Streams a video that moves as a reference video does. The reference is read frame by frame "
            "and tracked while the stream runs, one chunk ahead of it, as it would be with a camera.",
            search_aliases=["motion transfer", "online tracking", "reference video", "streaming"],
            inputs=[
                ModelSocket.Input("model", tooltip="A student with a track head, from Load MotionStream Model."),
                *shared,
                fit_input("image fit"),
                io.Combo.Input(
                    "tracker", options=list(STREAM_TRACKERS), default=STREAM_TRACKERS[0], tooltip=TRACKER_TOOLTIP
                ),
                io.Int.Input(
                    "rows", default=32, min=1, max=300, tooltip="Rows of the grid of points that is followed."
                ),
                io.Int.Input("columns", default=32, min=1, max=300, tooltip="Columns of the grid of points."),
                io.Combo.Input(
                    "lay",
                    display_name="reference fit",
                    options=list(FITS),
                    default=FITS[0],
                    tooltip="How the reference's frame comes to the new one's size: fit, all of it inside; fill, until "
                    "it covers the frame; stretch, sides by themselves; pixels, px on px.",
                ),
                io.Int.Input(
                    "delay_chunks",
                    default=1,
                    min=0,
                    max=100,
                    tooltip="Chunks by which the new video is behind the reference. With a camera it cannot be 0.",
                    **advanced(),
                ),
                io.Combo.Input(
                    "checkpoint",
                    options=checkpoint_options(),
                    default=AUTO,
                    tooltip="CoTracker3's weights, from models/cotracker. auto: scaled_online.pth.",
                    **advanced(),
                ),
                seed_input(),
                io.Video.Input("video", optional=True, tooltip="The reference. Connect this or images."),
                io.Image.Input("images", optional=True, tooltip="The reference's frames. Connect this or video."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Marks in the new image what shall move: only points that begin there are followed.",
                ),
                positive_input(),
                clip_vision_input(),
                seconds_input(),
                io.Combo.Input(
                    "time",
                    options=[FRAMES, SECONDS],
                    default=SECONDS,
                    optional=True,
                    tooltip="seconds: at the reference's own speed, whatever its frame rate; frames: frame by frame, "
                    "faster or slower where the rates differ.",
                    **advanced(),
                ),
                decoder_input(),
            ],
            outputs=[
                io.Image.Output("frames", display_name="frames", tooltip="All frames, (T, H, W, 3) in 0..1."),
                io.Float.Output("fps", display_name="fps", tooltip="Frames per second that the model was trained at."),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="What was followed, by what, how far behind; and how fast the frames came.",
                ),
                video_output(),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        vae: Any,
        prompt: str,
        width: int,
        height: int,
        length: int,
        fit: str,
        tracker: str,
        rows: int,
        columns: int,
        lay: str,
        delay_chunks: int,
        checkpoint: str,
        seed: int,
        image: Tensor | None = None,
        video: Any = None,
        images: Tensor | None = None,
        mask: Tensor | None = None,
        positive: Any = None,
        clip_vision_output: Any = None,
        seconds: float = 0.0,
        time: str = SECONDS,
        decoder: Any = None,
    ) -> io.NodeOutput:
        view, coders = stream_model(model), stream_coders(vae, decoder)
        require_track_head(view.spec, "model")
        made = WantedLength(length, seconds, endless=False).made_by(view.spec, view.name)
        clip = plan_clip(
            view,
            coders,
            image,
            None,
            role="student",
            width=width,
            height=height,
            num_frames=made.num_frames,
            fit=fit,
        )
        text = read_text(view, prompt, positive, "positive", clip_vision_output)
        reference = footage(video, images, view.spec.fps)
        source = reference.frames
        clock = view.spec.fps if time == SECONDS else source.fps
        hosted = load_tracker(tracker, checkpoint)
        delay = delay_chunks * chunk_delay(view.spec)
        online_tracker = cast(StreamTracker, hosted.tracker)
        tracks, count = _online(source, clock, online_tracker, rows, columns, delay, clip.size, lay, mask)
        settings = stream_settings(view.spec, seed)
        shown = SavedStream.preview(clip.size)
        run = StreamRun(view, coders, clip, text, settings, shown, tracks=tracks, beside=hosted.weighty)
        streamed, pace = with_memory_advice(run, ADVICE)
        about = (
            f"{count} points of {source.width} x {source.height} px followed by {hosted.about}, {delay} frames behind"
        )
        told = [about, pace, f"length: {made.told}", *_pace_told(reference, view.spec.fps, time)]
        result = (streamed.frames, view.spec.fps, "\n".join(told), video_of(streamed.frames, view.spec.fps))
        return io.NodeOutput(*result, ui=None if shown is None else shown.shown())


def _pace_told(reference: Reference, fps: float, time: str) -> list[str]:
    """What there is to say of the reference's times."""
    lines = [f"the video: {reference.told}"] if reference.told else []
    own = reference.frames.fps
    if time == FRAMES and abs(own - fps) > 1e-3 * fps:
        lines.append(
            f"followed frame by frame: {own:g} frames per second at {fps:g}, so {fps / own:.2f} "
            f"times as fast; with time = seconds it keeps its speed"
        )
    return lines


def _online(
    source: TimedFrames,
    clock: float,
    tracker: StreamTracker,
    rows: int,
    columns: int,
    delay: int,
    size: Size,
    lay: str,
    mask: Tensor | None,
) -> tuple[OnlineTracks, int]:
    """The video's points as the stream will ask for them, and how many they are. clock: stream frames to a second of
    the video."""
    place: Callable[[Tracks], Tracks] = lambda tracks: laid_over(tracks, *size, lay)  # noqa: E731
    queries = grid_queries(source.height, source.width, rows, columns)
    points = torch.from_numpy(queries[None, :, 1:].astype("float32"))
    begin = place(Tracks(points, torch.ones(points.shape[:2], dtype=torch.bool), source.height, source.width))
    kept = begin.visibility[0]
    if not kept.any():
        raise ValueError(f"lay: {lay!r} leaves no point of the grid in the new frame; use another, or more points")
    if mask is not None:
        kept = kept & covered(begin, (mask if mask.ndim == 2 else mask[0]).detach().cpu().float(), 0)
    if not kept.any():
        raise ValueError("mask: no point of the grid begins on it; use more rows and columns, or mark more")
    queries = queries[kept.numpy()]
    times, (height, width) = source.times_s * clock, (source.height, source.width)
    online = OnlineTracks(
        tracker, forwards(source), queries, height, width, delay_frames=delay, times=times, place=place
    )
    return online, len(queries)
