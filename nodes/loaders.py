"""Loader nodes: a MotionStream checkpoint, a tiny VAE."""

from __future__ import annotations

from pathlib import Path

import comfy.model_management as mm
import torch
from comfy_api.latest import io
from safetensors.torch import load_file
from torch import nn

from ..motionstream_core.checkpoints import ModelSpec, load_model, load_tiny_vae
from ..motionstream_core.models.tiny_vae import TAEW2_1, TAEW2_2, TinyVae
from .clip import describe_lengths
from .models import (
    MODEL_FOLDER,
    VAE_FOLDERS,
    StreamModel,
    StreamVae,
    file_of,
    file_options,
    fingerprint,
    register_folder,
)
from .types import ModelSocket, VaeSocket, advanced, schema

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
            description="Loads a MotionStream student (streams) or teacher (samples whole clips, slower, guided).",
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
                    options=file_options(("bundled/student", "bundled/teacher"), (MODEL_FOLDER,)),
                    default="bundled/student",
                    tooltip="A bundled small model, or a file in ComfyUI/models/motionstream. The bundled ones know "
                    "coloured shapes only; they show how everything works on any machine.",
                ),
                io.Combo.Input(
                    "precision",
                    options=["auto", *PRECISIONS],
                    default="auto",
                    tooltip="What the weights compute in. auto: fp32 on the CPU and for models below 100 million "
                    "parameters, else bf16 where the GPU has it, else fp16.",
                    **advanced(),
                ),
            ],
            outputs=[
                ModelSocket.Output(
                    "model", display_name="model", tooltip="The model, for the other MotionStream nodes."
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
        return _found(checkpoint, (MODEL_FOLDER,))

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str, precision: str) -> str:
        return f"{fingerprint(checkpoint, (MODEL_FOLDER,))}, {precision}"

    @classmethod
    def execute(cls, checkpoint: str, precision: str) -> io.NodeOutput:
        loaded = load_model(file_of(checkpoint, (MODEL_FOLDER,)))
        loaded.model.to(_dtype(loaded.model, precision))
        return io.NodeOutput(StreamModel(loaded, checkpoint), _about(checkpoint, loaded.spec))


class MotionStreamLoadTinyVAE(io.ComfyNode):
    """A tiny VAE: this project's own files, or taehv's taew2_1 and taew2_2."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamLoadTinyVAE",
            display_name="Load MotionStream Tiny VAE",
            category="MotionStream/loaders",
            description="Loads the small VAE that encodes the image and decodes the stream chunk by chunk. It must "
            "belong to the model: bundled/tiny_vae to the bundled models, taew2_1 to Wan 2.1, taew2_2 to Wan 2.2 5B.",
            search_aliases=["motionstream vae", "taehv", "taew2_1", "tiny autoencoder", "streaming decoder"],
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=file_options(("bundled/tiny_vae",), VAE_FOLDERS),
                    default="bundled/tiny_vae",
                    tooltip="The bundled VAE, or a file in ComfyUI/models/motionstream or ComfyUI/models/vae_approx.",
                )
            ],
            outputs=[VaeSocket.Output("vae", display_name="vae", tooltip="The VAE, for the other MotionStream nodes.")],
        )

    @classmethod
    def validate_inputs(cls, checkpoint: str | None) -> bool | str:
        return _found(checkpoint, VAE_FOLDERS)

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str) -> str:
        return fingerprint(checkpoint, VAE_FOLDERS)

    @classmethod
    def execute(cls, checkpoint: str) -> io.NodeOutput:
        vae = _read_tiny_vae(file_of(checkpoint, VAE_FOLDERS))
        return io.NodeOutput(StreamVae(vae, checkpoint))


def _found(name: str | None, folders: tuple[str, ...]) -> bool | str:
    """Stands in for the host's "value not in list", which does not say where a file belongs."""
    try:
        if name is not None:  # None: the input is linked, and its value not known yet
            file_of(name, folders)
    except FileNotFoundError as error:
        return str(error)
    return True


def _dtype(model: nn.Module, precision: str) -> torch.dtype:
    if precision != "auto":
        return PRECISIONS[precision]
    device = mm.get_torch_device()
    if mm.is_device_cpu(device) or sum(each.numel() for each in model.parameters()) < SMALL_MODEL_PARAMETERS:
        return torch.float32
    return torch.bfloat16 if mm.should_use_bf16(device) else torch.float16


def _read_tiny_vae(path: Path) -> TinyVae:
    """A tiny VAE of ours, or one of taehv's two, told apart by the shapes of their tensors."""
    try:
        return load_tiny_vae(path)
    except ValueError as error:
        own_error = error
    tensors = load_file(path)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    for config in (TAEW2_1, TAEW2_2):
        vae = TinyVae(config)
        if {name: tensor.shape for name, tensor in vae.state_dict().items()} == shapes:
            vae.load_state_dict(tensors)
            return vae.eval().requires_grad_(False)
    raise ValueError(f"{own_error}; nor does it hold taew2_1's or taew2_2's tensors")


def _about(name: str, spec: ModelSpec) -> str:
    height, width = spec.frame_size
    lines = [f"{name}: {spec.role}, trained at {width} x {height} px, {spec.fps:g} frames per second"]
    lines.append(f"lengths: {describe_lengths(spec)} frames")
    if spec.role == "student":
        steps = ", ".join(map(str, spec.step_list))
        lines.append(f"steps at {steps}; sink {spec.sink_frames}, window {spec.window_frames} latent frames")
    else:
        lines.append(f"guidance: text {spec.text_weight:g}, motion {spec.motion_weight:g}")
    if spec.vocabulary:
        lines.append(f"words: {' '.join(spec.vocabulary)}")
    return "\n".join(lines)
