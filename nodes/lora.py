"""MotionStream's LoRA loader: core's patches, from files in every naming."""

from __future__ import annotations

from typing import Any

import comfy.lora
import folder_paths
from comfy_api.latest import io

from ..motionstream_core.checkpoints.lora import read_lora
from .host.model import file_of, fingerprint, is_there, stream_model
from .sockets import ModelSocket, schema

FOLDERS = ("loras",)
MODEL_PREFIX = "diffusion_model."


class MotionStreamLoadLora(io.ComfyNode):
    """A LoRA over a model of this pack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamLoadLora",
            display_name="Load MotionStream LoRA",
            category="MotionStream/loaders",
            description="Lays a LoRA over a model, as core's LoRA loader does, and reads what that one passes over: "
            "names of diffusers and PEFT, and lora.pt files of training scripts such as LongLive's. A LoRA that "
            "changes nothing of the model is an error.",
            search_aliases=["lora", "motionstream lora", "lora.pt", "longlive lora", "self forcing lora"],
            inputs=[
                ModelSocket.Input("model", tooltip="A model of Load MotionStream Model, with other LoRAs or without."),
                io.Combo.Input(
                    "lora",
                    options=folder_paths.get_filename_list(*FOLDERS),
                    tooltip="A file in ComfyUI/models/loras (safetensors or torch). Which namings are read: "
                    "docs/models.md of this pack.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-100.0,
                    max=100.0,
                    step=0.01,
                    tooltip="How much of the change is added: 1 as it was trained, 0 none, below 0 away from it.",
                ),
            ],
            outputs=[
                ModelSocket.Output("patched_model", display_name="model", tooltip="The model with the LoRA over it."),
                io.String.Output(
                    "about", display_name="about", tooltip="How many of the model's weights the LoRA changes."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, lora: str | None) -> bool | str:
        return is_there(lora, FOLDERS)

    @classmethod
    def fingerprint_inputs(cls, model: Any, lora: str | None, strength: float | None) -> str:
        return f"{fingerprint(lora, FOLDERS)}, {strength}"

    @classmethod
    def execute(cls, model: Any, lora: str, strength: float) -> io.NodeOutput:
        network = stream_model(model).network
        found = read_lora(file_of(lora, FOLDERS), network.state_dict())
        patches = comfy.lora.load_lora(
            found.named(MODEL_PREFIX), comfy.lora.model_lora_keys_unet(model.model, {}), log_missing=False
        )
        patched = model.clone()
        changed = patched.add_patches(patches, strength)
        if not changed:
            raise ValueError(f"lora: {lora} is of a kind that ComfyUI does not know; it changes nothing of the model")
        return io.NodeOutput(patched, f"{lora} at {strength:g}: {found}, {len(changed)} weights")
