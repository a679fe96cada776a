"""Nodes for core's samplers: text and motion in CONDITIONING, joint guidance, a checkpoint's own noise levels."""

from __future__ import annotations

import logging
from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ...motionstream_core.diffusion.schedule import student_sigmas, teacher_sigmas
from ...motionstream_core.streaming.image_source import image_latents
from ..frame_fit import fit_image
from ..host.conditioning import IMAGE, TRACKS, Conditioning, require_track_head, require_whole_image, with_values
from ..host.model import StreamModel, make_ready, stream_model
from ..host.network import text_tokens
from ..host.vae import require_fitting_vae, stream_vae
from ..sockets import ModelSocket, schema, vae_input
from ..streaming.inputs import VAE_TOOLTIP, clip_vision_input, fit_input, image_input, motion_input, size_inputs
from ..streaming.length import WantedLength, length_input, seconds_input
from ..streaming.request import GivenMotion, frame_size, tracks_of
from ..streaming.run import beyond_steps
from .guider import JointGuider

CATEGORY = "MotionStream/sampling"
TEACHER_STEPS = 50


class MotionStreamTextEncode(io.ComfyNode):
    """A prompt for models that read it themselves."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamTextEncode",
            display_name="MotionStream Text Encode",
            category=CATEGORY,
            description="Makes CONDITIONING of a prompt with the model's own word encoder, which the bundled models "
            "have. Wan models read core's CLIPTextEncode instead.",
            search_aliases=["prompt", "conditioning", "clip text encode", "bundled model"],
            inputs=[
                ModelSocket.Input("model", tooltip="A model with a text encoder of its own: a bundled one."),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default="",
                    tooltip="What the video shows, in words that the loader's output `about` lists. Empty: no text, as "
                    "for the negative side of guidance.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    "conditioning", display_name="conditioning", tooltip="The prompt, for MotionStream Apply Motion."
                )
            ],
        )

    @classmethod
    def execute(cls, model: Any, prompt: str) -> io.NodeOutput:
        try:
            tokens = text_tokens(stream_model(model).network, prompt)
        except ValueError as error:
            raise ValueError(f"prompt: {error}") from None
        return io.NodeOutput([[tokens, {}]])


class MotionStreamApplyMotion(io.ComfyNode):
    """Image, tracks and CLIP Vision into CONDITIONING."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamApplyMotion",
            display_name="MotionStream Apply Motion",
            category=CATEGORY,
            description="Puts the first image and the trajectories into positive and negative conditioning, and makes "
            "the empty latent of that size: KSampler, SamplerCustomAdvanced and other samplers of core then see them.",
            search_aliases=["image to video", "motion conditioning", "tracks", "wan image to video"],
            inputs=[
                ModelSocket.Input("model", tooltip="The model that is to be sampled; it says how it takes its image."),
                io.Conditioning.Input("positive", tooltip="What the video shows."),
                io.Conditioning.Input("negative", tooltip="What guidance leads away from; often the empty prompt."),
                vae_input(VAE_TOOLTIP),
                image_input(),
                motion_input(),
                clip_vision_input(),
                *size_inputs(),
                length_input(),
                fit_input(),
                seconds_input(),
            ],
            outputs=[
                io.Conditioning.Output(
                    "moved_positive", display_name="positive", tooltip="Positive, with image and tracks."
                ),
                io.Conditioning.Output(
                    "moved_negative", display_name="negative", tooltip="Negative, with image and tracks."
                ),
                io.Latent.Output("latent", display_name="latent", tooltip="An empty video of that size and length."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: Conditioning,
        negative: Conditioning,
        vae: Any,
        width: int,
        height: int,
        length: int,
        fit: str,
        image: Tensor | None = None,
        motion: GivenMotion | None = None,
        clip_vision_output: Any = None,
        seconds: float = 0.0,
    ) -> io.NodeOutput:
        view = stream_model(model)
        spec, size = view.spec, frame_size(view.spec, height, width)
        made = WantedLength(length, seconds, endless=False).made_by(spec, view.name)
        assert made.num_frames is not None
        count = spec.vae_stride.num_latent_frames(made.num_frames)
        logging.info("MotionStream Apply Motion: length: %s", made.told)
        require_whole_image(spec, "model")
        values: dict[str, Any] = {}
        if motion is not None:
            require_track_head(spec, "motion")
            values[TRACKS], told = tracks_of(motion, size, fit)
            if told:
                logging.info("MotionStream Apply Motion: %s", told)
        if spec.image_rule == "none" and image is not None:
            raise ValueError("image: this checkpoint makes video from text alone; disconnect the image")
        if spec.image_rule != "none":
            if image is None:
                raise ValueError("image: this checkpoint starts from an image; connect one")
            values[IMAGE] = _image_latents(view, vae, fit_image(image, size, fit))
        if clip_vision_output is not None:
            values["clip_vision_output"] = clip_vision_output
        stride = spec.vae_stride.space
        latent = torch.zeros(1, spec.backbone.out_channels, count, size[0] // stride, size[1] // stride)
        return io.NodeOutput(with_values(positive, values), with_values(negative, values), {"samples": latent})


class MotionStreamJointGuider(io.ComfyNode):
    """Text and motion guidance as two knobs, for SamplerCustomAdvanced."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        weight = {"min": 0.0, "max": 20.0, "step": 0.1}
        return schema(
            node_id="MotionStreamJointGuider",
            display_name="MotionStream Joint Guider",
            category=CATEGORY,
            description="Guides a teacher by text and by motion, each with its own weight, in any sampler of core's "
            "SamplerCustomAdvanced. Three passes a step, batched where memory allows.",
            search_aliases=["guider", "cfg", "dual cfg", "motion guidance", "text guidance", "teacher"],
            inputs=[
                ModelSocket.Input("model", tooltip="A teacher, from Load MotionStream Model."),
                io.Conditioning.Input("positive", tooltip="From MotionStream Apply Motion."),
                io.Conditioning.Input("negative", tooltip="From MotionStream Apply Motion, with the same image."),
                io.Float.Input(
                    "text_weight",
                    default=3.0,
                    tooltip="How strongly the prompt guides; 3.0 is the paper's value for Wan (the bundled teacher: "
                    "1.5). 0 switches text guidance off; with both at 0 there is no guidance, one pass a step.",
                    **weight,
                ),
                io.Float.Input(
                    "motion_weight",
                    default=1.5,
                    tooltip="How strongly the tracks guide; 1.5 is the paper's value. 0 switches motion guidance off; "
                    "without tracks it counts as 0.",
                    **weight,
                ),
            ],
            outputs=[io.Guider.Output("guider", display_name="guider", tooltip="For core's SamplerCustomAdvanced.")],
        )

    @classmethod
    def execute(
        cls, model: Any, positive: Conditioning, negative: Conditioning, text_weight: float, motion_weight: float
    ) -> io.NodeOutput:
        stream_model(model)  # raises for a MODEL that knows nothing of motion
        unused = [key for key in ("sampler_cfg_function", "sampler_pre_cfg_function") if model.model_options.get(key)]
        if unused:
            logging.warning("MotionStream Joint Guider: the model's %s are not used: it guides itself", unused)
        guider = JointGuider(model, text_weight, motion_weight)
        guider.set_conds(positive, negative)
        return io.NodeOutput(guider)


class MotionStreamSigmas(io.ComfyNode):
    """The noise levels that a checkpoint was made for."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamSigmas",
            display_name="MotionStream Sigmas",
            category=CATEGORY,
            description="The noise levels of a checkpoint: a student's own few steps, or evenly spread ones under a "
            "teacher's shift. For SamplerCustomAdvanced; core's schedulers work as well.",
            search_aliases=["scheduler", "sigmas", "few steps", "self forcing steps", "shift"],
            inputs=[
                ModelSocket.Input("model", tooltip="The model that is to be sampled."),
                io.Int.Input(
                    "steps",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip=f"Denoise steps; 0: a student's own list, {TEACHER_STEPS} for a teacher.",
                ),
            ],
            outputs=[io.Sigmas.Output("sigmas", display_name="sigmas", tooltip="From 1 down to 0.")],
        )

    @classmethod
    def execute(cls, model: Any, steps: int) -> io.NodeOutput:
        view = stream_model(model)
        spec = view.spec
        if spec.role == "teacher":
            return io.NodeOutput(teacher_sigmas(steps or TEACHER_STEPS, spec.shift))
        own = steps in (0, len(spec.step_list))
        step_list = spec.step_list if own else [1000 * (steps - i) / steps for i in range(steps)]
        sigmas, remarks = student_sigmas(step_list, spec.shift), beyond_steps(spec, view.name, steps)
        for remark in remarks:
            logging.warning("MotionStream Sigmas: %s", remark)
        return io.NodeOutput(sigmas, ui={"text": tuple(remarks)}) if remarks else io.NodeOutput(sigmas)


@torch.inference_mode()
def _image_latents(model: StreamModel, vae: Any, image: Tensor) -> Tensor:
    """Image latents (1 c f h w) by the checkpoint's rule, on the CPU, in the VAE's space, as core's nodes give them."""
    coder = stream_vae(vae)
    require_fitting_vae(model.spec, coder)
    make_ready(coder)
    latents = image_latents(model.spec, coder, image)
    assert latents is not None
    return model.patcher.model.latent_format.process_out(latents.float()).cpu()
