"""The teacher sampler: a whole clip at once, many steps, joint text and motion guidance; and decoding of latents."""

from __future__ import annotations

from typing import Any

import comfy.model_management as mm
import torch
from comfy_api.latest import io
from torch import Tensor

from ..motionstream_core.models.vae import check_latents
from ..motionstream_core.streaming.conditions import encode_prompt
from ..motionstream_core.streaming.stream import SAMPLERS, sample_teacher
from .clip import clip_conditions, plan_clip
from .memory import with_memory_advice
from .models import StreamModel, StreamVae, make_ready
from .preview import PreviewProgress
from .sampling_inputs import clip_inputs
from .types import ModelSocket, Motion, VaeSocket, schema, seed_input

SAMPLER_NAMES = [*sorted(SAMPLERS, reverse=True)]  # unipc first
LATENT_FRAMES_AT_ONCE = 3


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
                *clip_inputs("Number of frames: 1 + 4 * k (the bundled teacher was trained on up to 49)."),
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
            ],
            outputs=[
                io.Latent.Output(
                    "latent", display_name="latent", tooltip="The latents [1, C, F, h, w], for MotionStream Decode."
                ),
                io.Float.Output("fps", display_name="fps", tooltip="Frames per second that the model was trained at."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: StreamModel,
        vae: StreamVae,
        image: Tensor,
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
        motion: Motion | None = None,
    ) -> io.NodeOutput:
        clip = plan_clip(model, vae, image, motion, role="teacher", width=width, height=height, length=length, fit=fit)

        def work() -> Tensor:
            make_ready(model, vae)
            with PreviewProgress(steps) as progress:
                return sample_teacher(
                    model.loaded,
                    clip_conditions(model, vae, clip, prompt),
                    encode_prompt(model.loaded.model, model.spec, ""),
                    num_latent_frames=clip.num_latent_frames,
                    num_steps=steps,
                    text_weight=text_weight,
                    motion_weight=motion_weight if motion is not None else 0.0,
                    sampler=sampler,
                    seed=seed,
                    batched=False,
                    callback=_step_callback(vae, progress),
                )

        latents = with_memory_advice(work, "lower length, or width and height")
        return io.NodeOutput({"samples": latents.float().cpu()}, model.spec.fps)


def _step_callback(vae: StreamVae, progress: PreviewProgress) -> Any:
    def after_step(step: int, _: int, clean: Tensor) -> None:
        if progress.wants_picture():
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
            description="Decodes video latents with the tiny VAE, piece by piece: memory does not grow with length, "
            "and the frames are exactly those of decoding all at once.",
            search_aliases=["vae decode", "video decode", "taehv decode", "streaming decoder"],
            inputs=[
                VaeSocket.Input("vae", tooltip="The VAE that belongs to the model that made the latents."),
                io.Latent.Input("samples", tooltip="Video latents [1, C, F, h, w]; a batch of several is refused."),
            ],
            outputs=[
                io.Image.Output("frames", display_name="frames", tooltip="1 + 4 * (F - 1) frames in 0..1, on the CPU.")
            ],
        )

    @classmethod
    def execute(cls, vae: StreamVae, samples: dict[str, Any]) -> io.NodeOutput:
        latents: Tensor = samples["samples"]
        try:
            check_latents(latents, vae.vae.config.latent_channels)
            if latents.shape[0] != 1:
                raise ValueError(f"it holds {latents.shape[0]} clips; pick one with the node LatentFromBatch")
        except ValueError as error:
            raise ValueError(f"samples: {error}") from None
        return io.NodeOutput(with_memory_advice(lambda: _decode(vae, latents), "decode a shorter clip"))


@torch.inference_mode()
def _decode(vae: StreamVae, latents: Tensor) -> Tensor:
    stride, num_latent_frames = vae.vae.config.stride, latents.shape[2]
    height, width = latents.shape[3] * stride.space, latents.shape[4] * stride.space
    frames = torch.empty(stride.num_frames(num_latent_frames), height, width, 3)
    make_ready(vae)
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
