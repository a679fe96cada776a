"""Loader nodes: a MotionStream checkpoint, a tiny VAE."""

from __future__ import annotations

import comfy.model_management as mm
import torch
from comfy_api.latest import io
from torch import nn

from ..motionstream_core.checkpoints import FAMILIES, ModelSpec, load_model, load_tiny_vae
from ..motionstream_core.checkpoints.tiny_vae_weights import VARIANTS
from ..motionstream_core.models.precision import cpu_is_fast_in_bf16
from .host.model import MODEL_FOLDER, VAE_FOLDERS, file_of, file_options, fingerprint, is_there, register_folder
from .host.network import host_model
from .host.vae import StreamVae, decoding_dtype
from .sockets import ModelSocket, VaeSocket, advanced, schema

AUTO = "auto"
FP8 = "fp8"
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SMALL_MODEL_PARAMETERS = 100_000_000

register_folder()


class MotionStreamLoadModel(io.ComfyNode):
    """A checkpoint, bundled or from models/motionstream."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamLoadModel",
            display_name="Load MotionStream Model",
            category="MotionStream/loaders",
            description="Loads a student (streams) or a teacher (samples whole clips, slower, guided): this project's "
            "files, Track-v0, TrackWan, Self-Forcing and its kin, Wan. The MODEL is core's own kind: LoRA, offloading, "
            "torch.compile and core's samplers work on it.",
            search_aliases=[
                "motionstream loader",
                "causal wan",
                "self forcing",
                "streaming model",
                "student",
                "teacher",
            ],
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=file_options(
                        ("bundled/photo_student", "bundled/student", "bundled/teacher"), (MODEL_FOLDER,)
                    ),
                    default="bundled/photo_student",
                    tooltip="A bundled small model, or a file or diffusers folder in ComfyUI/models/motionstream "
                    "(where each is published: docs/models.md of this pack). bundled/photo_student moves any picture, "
                    "at 128 px, on any machine; bundled/student and teacher know coloured shapes and a few words only.",
                ),
                io.Combo.Input(
                    "precision",
                    options=[AUTO, *PRECISIONS, FP8],
                    default=AUTO,
                    tooltip="What the weights compute in. auto: on a CPU bf16 where that is fast (AMX, AVX512-BF16), "
                    "else fp32; on a GPU fp32 for models below 100 million parameters, else bf16 where it has it, else "
                    "fp16. fp8: as auto, but the blocks' matrices are stored in 8 bits, which halves the memory.",
                    **advanced(),
                ),
                io.Combo.Input(
                    "family",
                    options=[AUTO, *(each.key for each in FAMILIES)],
                    default=AUTO,
                    optional=True,
                    tooltip="What the file is, where its weights do not tell: Self-Forcing, LongLive and "
                    "Causal-Forcing look like Wan 2.1 T2V, Track-v0 like TrackWan. auto: by what is written in or "
                    "beside the file, else the plain teacher.",
                ),
            ],
            outputs=[
                ModelSocket.Output(
                    "model",
                    display_name="model",
                    tooltip="The model, for the MotionStream nodes and for core's (LoRA, torch.compile, samplers).",
                ),
                io.String.Output(
                    "about",
                    display_name="about",
                    tooltip="What the checkpoint says of itself: role, trained size, lengths, weights, known words.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, checkpoint: str | None) -> bool | str:
        return is_there(checkpoint, (MODEL_FOLDER,))

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str | None, precision: str | None, family: str | None = AUTO) -> str:
        return f"{fingerprint(checkpoint, (MODEL_FOLDER,))}, {precision}, {family}"

    @classmethod
    def execute(cls, checkpoint: str, precision: str, family: str = AUTO) -> io.NodeOutput:
        loaded = load_model(file_of(checkpoint, (MODEL_FOLDER,)), family=None if family == AUTO else family)
        spec, compute = loaded.spec, _dtype(loaded.model, precision)
        model = host_model(loaded, checkpoint, compute, fp8=precision == FP8)
        return io.NodeOutput(model, _about(checkpoint, spec))


class MotionStreamLoadTinyVAE(io.ComfyNode):
    """A tiny VAE: this project's own files, or those of taehv's layout for Wan."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamLoadTinyVAE",
            display_name="Load MotionStream Tiny VAE",
            category="MotionStream/loaders",
            description="Loads the small VAE that encodes the image and decodes the stream chunk by chunk. It must "
            "belong to the model: bundled/photo_tiny_vae to bundled/photo_student, bundled/tiny_vae to the other "
            "bundled ones, taew2_1 to Wan 2.1, taew2_2 to Wan 2.2 5B.",
            search_aliases=["motionstream vae", "taehv", "taew2_1", "tiny autoencoder", "streaming decoder"],
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=file_options(("bundled/photo_tiny_vae", "bundled/tiny_vae"), VAE_FOLDERS),
                    default="bundled/photo_tiny_vae",
                    tooltip="A bundled VAE, or a file in ComfyUI/models/motionstream or ComfyUI/models/vae_approx.",
                ),
                io.Combo.Input(
                    "variant",
                    options=[AUTO, *VARIANTS],
                    default=AUTO,
                    optional=True,
                    tooltip="Which one the file is, where its weights do not tell: taew2_1 and lighttaew2_1 look alike "
                    "in bfloat16. auto: by the weights.",
                    **advanced(),
                ),
            ],
            outputs=[VaeSocket.Output("vae", display_name="vae", tooltip="The VAE, for the other MotionStream nodes.")],
        )

    @classmethod
    def validate_inputs(cls, checkpoint: str | None) -> bool | str:
        return is_there(checkpoint, VAE_FOLDERS)

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str | None, variant: str | None = AUTO) -> str:
        return f"{fingerprint(checkpoint, VAE_FOLDERS)}, {variant}"

    @classmethod
    def execute(cls, checkpoint: str, variant: str = AUTO) -> io.NodeOutput:
        vae = load_tiny_vae(file_of(checkpoint, VAE_FOLDERS), variant=None if variant == AUTO else variant)
        return io.NodeOutput(StreamVae(vae.decode_in(decoding_dtype()), checkpoint))


def _dtype(model: nn.Module, precision: str) -> torch.dtype:
    if precision in PRECISIONS:
        return PRECISIONS[precision]
    device = mm.get_torch_device()
    if mm.is_device_cpu(device):
        return torch.bfloat16 if cpu_is_fast_in_bf16() else torch.float32
    if sum(each.numel() for each in model.parameters()) < SMALL_MODEL_PARAMETERS:
        return torch.float32
    return torch.bfloat16 if mm.should_use_bf16(device) else torch.float16


def _about(name: str, spec: ModelSpec) -> str:
    height, width = spec.frame_size
    lines = [f"{name}: {spec.role}, trained at {width} x {height} px, {spec.fps:g} frames per second"]
    lines.append(f"lengths: {spec.lengths} frames")
    if spec.role == "student":
        steps = ", ".join(map(str, spec.step_list))
        lines.append(f"steps at {steps}; sink {spec.sink_frames}, window {spec.window_frames} latent frames")
    else:
        lines.append(f"guidance: text {spec.text_weight:g}, motion {spec.motion_weight:g}")
    lines.append(f"starts from {'text alone' if spec.image_rule == 'none' else 'an image'}")
    lines.append("follows tracks" if spec.track_head else "takes no tracks")
    if spec.vocabulary:
        lines.append(f"words: {' '.join(spec.vocabulary)}")
    return "\n".join(lines)
