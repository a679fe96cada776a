"""The teacher sampler: a whole clip at once, many steps, joint text and motion guidance; and decoding of latents."""

from __future__ import annotations

import logging
from typing import Any

import comfy.model_management as mm
import torch
from comfy_api.latest import io
from comfy_execution.graph import ExecutionBlocker
from torch import Tensor

from ...motionstream_core.models.vae.wan_vae import check_latents
from ...motionstream_core.streaming.stream import SAMPLERS, sample_teacher
from ..host.conditioning import Conditioning
from ..host.memory import with_memory_advice
from ..host.model import StreamModel, make_ready, running, stream_model
from ..host.preview import PreviewProgress
from ..host.vae import Coders, Vae, stream_coders, stream_vae
from ..sockets import ModelSocket, schema, seed_input, vae_input
from ..streaming.inputs import clip_inputs, clip_vision_input, decoder_input, positive_input
from ..streaming.length import ANY_LENGTH, WantedLength, length_input, seconds_input
from ..streaming.output import video_of, video_output
from ..streaming.request import Clip, GivenMotion, Text, clip_conditions, clip_image_source, plan_clip, read_text

SAMPLER_NAMES = [*sorted(SAMPLERS, reverse=True)]  # unipc first
LATENT_FRAMES_AT_ONCE = 3
DECODE_ADVICE = (
    "use the tiny VAE, or decode a smaller picture; main memory, which holds all frames, grows with the length"
)
OFF = (
    "decode is off at MotionStream Teacher Sampler, so it gives no frames and no video; switch it on, or take them "
    "from MotionStream Decode behind its latent"
)


class MotionStreamTeacherSampler(io.ComfyNode):
    """Image, prompt and motion in; the latents of a whole clip out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        weight = {"default": 1.5, "min": 0.0, "max": 20.0, "step": 0.1}
        return schema(
            node_id="MotionStreamTeacherSampler",
            display_name="MotionStream Teacher Sampler",
            category="MotionStream/sampling",
            description="Samples a whole clip with the bidirectional teacher, with text and motion guidance as two "
            "knobs. Slower than the student by far, and its memory grows with the length.",
            search_aliases=["motion guidance", "image to video", "teacher", "unipc", "euler", "tracks", "trajectory"],
            inputs=[
                ModelSocket.Input("model", tooltip="A teacher, from Load MotionStream Model."),
                *clip_inputs(length_input(f"{ANY_LENGTH} The bundled teacher was trained on up to 49.")),
                io.Int.Input("steps", default=20, min=1, max=1000, tooltip="Denoise steps for the whole clip."),
                io.Combo.Input(
                    "sampler",
                    options=SAMPLER_NAMES,
                    default=SAMPLER_NAMES[0],
                    tooltip="unipc: second order, fewer steps for the same quality, needs the package diffusers. "
                    "euler: first order, needs nothing.",
                ),
                io.Float.Input(
                    "text_weight",
                    tooltip="How strongly the prompt guides. 1.5 is the bundled teacher's own value (the paper's 14B "
                    "model: 3.0). 0 switches text guidance off; with both at 0 there is no guidance, one pass a step.",
                    **weight,
                ),
                io.Float.Input(
                    "motion_weight",
                    tooltip="How strongly the tracks guide. 1.5 is the bundled teacher's own value and the paper's. 0 "
                    "switches motion guidance off; without motion it counts as 0.",
                    **weight,
                ),
                seed_input(),
                positive_input(),
                clip_vision_input(),
                io.Conditioning.Input(
                    "negative",
                    optional=True,
                    tooltip="What text guidance leads away from, for Wan models (CLIPTextEncode). Models that read the "
                    "prompt themselves take the empty prompt.",
                ),
                seconds_input(),
                decoder_input(),
                io.Boolean.Input(
                    "decode",
                    default=True,
                    optional=True,
                    tooltip="On: frames and video are made. Off: the latents alone, for MotionStream Decode or "
                    "VAE Decode behind the node, so that nothing is decoded twice.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    "latent", display_name="latent", tooltip="The latents [1, C, F, h, w], for MotionStream Decode."
                ),
                io.Float.Output("fps", display_name="fps", tooltip="Frames per second that the model was trained at."),
                io.Image.Output(
                    "frames",
                    display_name="frames",
                    tooltip="The clip, decoded by decoder or vae: (T, H, W, 3) in 0..1, on the CPU. Not made with "
                    "decode off.",
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
        steps: int,
        sampler: str,
        text_weight: float,
        motion_weight: float,
        seed: int,
        image: Tensor | None = None,
        motion: GivenMotion | None = None,
        positive: Conditioning | None = None,
        clip_vision_output: Any = None,
        negative: Conditioning | None = None,
        seconds: float = 0.0,
        decoder: Any = None,
        decode: bool = True,
    ) -> io.NodeOutput:
        view, coders = stream_model(model), stream_coders(vae, decoder)
        made = WantedLength(length, seconds, endless=False).made_by(view.spec, view.name)
        clip = plan_clip(
            view,
            coders,
            image,
            motion,
            role="teacher",
            width=width,
            height=height,
            num_frames=made.num_frames,
            fit=fit,
            positive=positive,
        )
        texts = (
            read_text(view, prompt, positive, "positive", clip_vision_output),
            read_text(view, "", negative, "negative", clip_vision_output),
        )
        logging.info("MotionStream Teacher Sampler: %s", "; ".join([f"length: {made.told}", *clip.told]))
        weights = text_weight, motion_weight if clip.tracks.visibility.any() else 0.0
        latents = with_memory_advice(
            lambda: _sample(view, coders, clip, texts, steps, weights, sampler, seed),
            "lower length, or width and height",
        )
        latents = model.model.latent_format.process_out(latents)
        if not decode:
            return io.NodeOutput({"samples": latents}, view.spec.fps, ExecutionBlocker(OFF), ExecutionBlocker(OFF))
        frames = with_memory_advice(lambda: _decode(coders.decoder, latents), DECODE_ADVICE)
        return io.NodeOutput({"samples": latents}, view.spec.fps, frames, video_of(frames, view.spec.fps))


def _sample(
    model: StreamModel,
    coders: Coders,
    clip: Clip,
    texts: tuple[Text, Text],
    steps: int,
    weights: tuple[float, float],
    sampler: str,
    seed: int,
) -> Tensor:
    """Latents (1 c f h w) on the CPU. texts: positive and negative; weights: of text and motion."""
    assert clip.num_latent_frames is not None
    with torch.inference_mode():
        make_ready(coders.encoder)
        image = clip_image_source(model.spec, coders.encoder, clip)
        stride, channels = model.spec.vae_stride.space, model.spec.backbone.out_channels
        shape = (1, channels, clip.num_latent_frames, clip.size[0] // stride, clip.size[1] // stride)
        make_ready(model, coders.decoder, memory_required=int(model.patcher.model.memory_required(shape)))
        with running(model) as loaded, PreviewProgress(steps) as progress:
            return (
                sample_teacher(
                    loaded,
                    clip_conditions(model, clip, texts[0], image),
                    texts[1].context(model),
                    num_latent_frames=clip.num_latent_frames,
                    num_steps=steps,
                    text_weight=weights[0],
                    motion_weight=weights[1],
                    sampler=sampler,
                    seed=seed,
                    batched=False,
                    callback=_step_callback(coders.decoder, progress),
                )
                .float()
                .cpu()
            )


def _step_callback(vae: Vae, progress: PreviewProgress) -> Any:
    def after_step(step: int, _: int, clean: Tensor) -> None:
        if vae.plain and progress.wants_picture():  # the full VAE would take longer than the step
            middle = clean.shape[2] // 2
            progress.show(vae.decoder().push(clean[:, :, middle : middle + 1])[0].cpu())
        progress.step(step + 1)

    return after_step


class MotionStreamDecode(io.ComfyNode):
    """Latents to frames, a few latent frames at a time."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamDecode",
            display_name="MotionStream Decode",
            category="MotionStream/sampling",
            description="Decodes video latents piece by piece, with the tiny VAE or Wan's full one: memory does not "
            "grow with length, and the frames are exactly those of decoding all at once.",
            search_aliases=["vae decode", "video decode", "taehv decode", "streaming decoder"],
            inputs=[
                vae_input("The VAE that belongs to the model that made the latents, tiny or full."),
                io.Latent.Input("samples", tooltip="Video latents [1, C, F, h, w]; a batch of several is refused."),
                io.Float.Input(
                    "fps",
                    default=16.0,
                    min=0.01,
                    max=1000.0,
                    step=0.01,
                    optional=True,
                    tooltip="Frames per second of the output video: the sampler's fps. The frames do not depend on it.",
                ),
            ],
            outputs=[
                io.Image.Output("frames", display_name="frames", tooltip="1 + 4 * (F - 1) frames in 0..1, on the CPU."),
                video_output(),
            ],
        )

    @classmethod
    def execute(cls, vae: Any, samples: dict[str, Any], fps: float = 16.0) -> io.NodeOutput:
        coder, latents = stream_vae(vae), samples["samples"]
        try:
            check_latents(latents, coder.num_channels)
            if latents.shape[0] != 1:
                raise ValueError(f"it holds {latents.shape[0]} clips; pick one with the node LatentFromBatch")
        except ValueError as error:
            raise ValueError(f"samples: {error}") from None
        frames = with_memory_advice(lambda: _decode(coder, latents), DECODE_ADVICE)
        return io.NodeOutput(frames, video_of(frames, fps))


@torch.inference_mode()
def _decode(vae: Vae, samples: Tensor) -> Tensor:
    stride, num_latent_frames = vae.stride, samples.shape[2]
    height, width = samples.shape[3] * stride.space, samples.shape[4] * stride.space
    frames = torch.empty(stride.num_frames(num_latent_frames), height, width, 3)
    latents = vae.latent_format.process_in(samples.float())
    make_ready(vae, memory_required=vae.decoding_bytes((samples.shape[3], samples.shape[4])))
    decoder = vae.decoder()
    done = 0
    with PreviewProgress(num_latent_frames) as progress:
        for start in range(0, num_latent_frames, LATENT_FRAMES_AT_ONCE):
            mm.throw_exception_if_processing_interrupted()
            part = decoder.push(latents[:, :, start : start + LATENT_FRAMES_AT_ONCE])
            frames[done : done + len(part)] = part
            done += len(part)
            progress.show(frames[done - 1])
            progress.step(min(start + LATENT_FRAMES_AT_ONCE, num_latent_frames))
    return frames
