"""Our transformer as the host holds its own: made of the host's layers, inside a BaseModel, below a ModelPatcher.

Weights keep their original Wan names below `diffusion_model.`, so every LoRA that core knows for Wan fits. No weight is
used but through the host's layers, or cast where it is used, so a model whose weights lie elsewhere computes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, ClassVar, cast

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.model_management as mm
import comfy.model_patcher
import comfy.supported_models_base
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ...motionstream_core.checkpoints import LoadedModel, ModelSpec
from ...motionstream_core.checkpoints.fingerprint import fingerprint
from ...motionstream_core.checkpoints.load import network_arguments
from ...motionstream_core.models.conditioning import Conditions, assemble
from ...motionstream_core.models.kv_cache import KVCache
from ...motionstream_core.models.track_wan import TrackWan
from ...motionstream_core.models.wan import CrossContext
from ...motionstream_core.streaming.rollout import pinned_input
from .conditioning import latent_conditions, padded_text
from .layers import HostLayers

MAX_PROMPT_CHARS = 20_000

FP8 = (torch.float8_e4m3fn, torch.float8_e5m2)


class HostedWan(TrackWan):
    """TrackWan in a host: it also takes what the host's samplers give, and its weights may lie on another device."""

    def __init__(self, spec: ModelSpec, layers: HostLayers, storage: torch.dtype, compute: torch.dtype) -> None:
        super().__init__(**network_arguments(spec), ops=layers)
        self.spec, self.attend = spec, layers.attention
        self.dtype = storage  # the host reads it as what the weights are stored in
        self._placement = mm.get_torch_device(), compute

    @property
    def placement(self) -> tuple[torch.device, torch.dtype]:
        return self._placement

    def forward(self, x: Tensor, timestep: Tensor, context: Any = None, *args: Any, **given: Any) -> Tensor:
        """Velocity: of `WanModel.forward`'s arguments, or of what `BaseModel.apply_model` gives."""
        if isinstance(context, CrossContext):
            return super().forward(x, timestep, context, *args, **given)
        options: Mapping[str, Any] = given.get("transformer_options") or {}
        self.attend.options = options
        try:
            return self._velocity(x, timestep, context, given, options.get("ar_state"))
        finally:
            self.attend.options = {}

    def _velocity(
        self, x: Tensor, timestep: Tensor, text: Tensor, given: Mapping[str, Any], state: dict[str, Any] | None
    ) -> Tensor:
        """Velocity for a sampler of the host: of whole clips, or of one block for SamplerARVideo (`state`)."""
        if state is None and self.spec.role == "student":
            raise ValueError(
                "this checkpoint is a causal student, which makes a clip chunk by chunk; use the MotionStream Student "
                "Streamer, or core's SamplerARVideo where its blocks fit"
            )
        start = 0 if state is None else state["start_frame"]
        run = slice(start, start + x.shape[2])
        parts = {name: given[name][:, :, run] for name in ("mask", "image", "track") if name in given}
        first = given.get("clean_first") if start == 0 else None
        conditions = Conditions(self.prepare_context(text, given.get("clip_fea")), clean_first=first, **parts)
        noisy, steps = pinned_input(x, timestep / 1000, first)
        inputs = assemble(self.spec.layout, noisy, conditions)
        if state is None:
            velocity = super().forward(inputs, steps, conditions.context)
        else:
            velocity = self._block(inputs, steps, conditions.context, state, start, is_clean=not timestep.any())
        if first is None:
            return velocity
        # what leads the sampler's own latent frame 0 to the image, whatever noise it holds
        level = (timestep / 1000).clamp(min=1e-4)[:, None, None, None, None].to(x.dtype)
        return torch.cat([(x[:, :, :1] - first) / level, velocity[:, :, 1:]], dim=2)

    def _block(
        self, inputs: Tensor, steps: Tensor, context: CrossContext, state: dict[str, Any], start: int, is_clean: bool
    ) -> Tensor:
        """Velocity of a block; a pass at timestep 0 is the one that the cache keeps."""
        memory = state["kv_caches"][0]
        if memory["cache"] is None:
            memory["cache"] = self.make_cache(
                inputs.shape[0],
                inputs.shape[3],
                inputs.shape[4],
                sink_frames=self.spec.sink_frames,
                window_frames=self.spec.window_frames,
                chunk_frames=self.spec.chunk_plan.chunk_frames,
                rope_rule=self.spec.rope_rule,
            )
        cache: KVCache = memory["cache"]
        num_frames = inputs.shape[2]
        _require_own_chunk(self.spec, start, num_frames, cache)
        with cache.keeping() if is_clean else nullcontext():
            velocity = super().forward(inputs, steps, context, cache)
        memory["end"] += num_frames * cache.frame_tokens  # the sampler counts with this number
        return velocity

    def init_kv_caches(self, *_: Any) -> list[dict[str, Any]]:
        """For SamplerARVideo: one memory for all layers, with the checkpoint's sink and window."""
        return [{"end": 0, "cache": None}]

    def init_crossattn_caches(self, *_: Any) -> list[dict[str, Any]]:
        """For SamplerARVideo, which only hands it back."""
        return []

    def _embed_patches(self, patches: Tensor) -> Tensor:
        # through the layer itself, which knows where its weight lies and what is added to it
        p, q = self.config.patch[1:]
        cells = rearrange(patches, "b l (c p q) -> b c l p q", p=p, q=q)
        return self.patch_embedding(cells.to(self.placement[1])).flatten(2).transpose(1, 2).contiguous()


def _require_own_chunk(spec: ModelSpec, start: int, num_frames: int, cache: KVCache) -> None:
    """Raises ValueError for a block that is not the checkpoint's own next chunk."""
    own = next(chunk for chunk in spec.chunk_plan.chunks() if chunk.start >= start)
    if (own.start, own.num_frames, cache.num_frames_seen) == (start, num_frames, start):
        return
    first, later = spec.chunk_plan.first_chunk_frames, spec.chunk_plan.chunk_frames
    equal = f"set num_frame_per_block to {later} and the length to whole blocks"
    unequal = (
        f"SamplerARVideo's blocks are all equal: start it from an image (ARVideoI2V) that fills the first block, with "
        f"num_frame_per_block {later}, or use the MotionStream Student Streamer"
    )
    raise ValueError(
        f"SamplerARVideo gave {num_frames} latent frames at {start}, but this checkpoint makes {first} first and then "
        f"{later} at a time; {equal if first == later else unequal}"
    )


class HostedConfig(comfy.supported_models_base.BASE):
    """What BaseModel asks of a model's configuration."""

    unet_extra_config: ClassVar[dict[str, Any]] = {}

    def __init__(self, loaded: LoadedModel, storage: torch.dtype, compute: torch.dtype) -> None:
        super().__init__({"dtype": storage})
        spec = loaded.spec
        self._loaded: LoadedModel | None = loaded
        self._compute = compute
        self.sampling_settings = {"shift": spec.shift, "multiplier": 1000}
        self.latent_format = latent_format(spec)
        self.memory_usage_factor = spec.backbone.dim / 2222  # as core reckons for Wan
        self.manual_cast_dtype = None if storage == compute else compute

    def build(self, dtype: torch.dtype, device: Any, operations: Any) -> HostedWan:
        """The model made of the host's layers, with the loaded tensors themselves: no second copy is made."""
        assert self._loaded is not None
        loaded, self._loaded = self._loaded, None
        with torch.device("meta"):
            model = HostedWan(loaded.spec, HostLayers(operations), dtype, self._compute)
        model.load_state_dict(loaded.model.state_dict(), assign=True)
        return model.eval().requires_grad_(False)


class MotionStreamWan(comfy.model_base.BaseModel):
    """What a MODEL of ours holds: `spec` says what the checkpoint is, `checkpoint` what it is called.

    weights: their fingerprint, as they were loaded.
    """

    def __init__(self, config: HostedConfig, checkpoint: str, weights: str, device: torch.device | None = None) -> None:
        super().__init__(config, comfy.model_base.ModelType.FLOW, device=device, unet_model=config.build)
        self.checkpoint, self.weights = checkpoint, weights

    @property
    def spec(self) -> ModelSpec:
        return cast(HostedWan, self.diffusion_model).spec

    def extra_conds(self, **given: Any) -> dict[str, Any]:
        """Text, CLIP tokens, and the channels beside the noise, from one entry of a CONDITIONING."""
        model = cast(HostedWan, self.diffusion_model)
        which, device = given.get("prompt_type", "conditioning"), given["device"]
        text = padded_text(given.get("cross_attn"), self.spec, which)
        conditions = {"c_crossattn": comfy.conds.CONDRegular(text)}
        if self.spec.backbone.image_dim is not None:
            seen = given.get("clip_vision_output")
            if seen is None:
                raise ValueError(
                    f"{which}: this checkpoint also looks at the image through CLIP Vision; encode it with "
                    "CLIPVisionEncode and give that to MotionStream Apply Motion"
                )
            conditions["clip_fea"] = comfy.conds.CONDRegular(seen.penultimate_hidden_states)
        shape = given["noise"].shape
        for name, value in latent_conditions(model, self.latent_format, shape, given, which).items():
            kind = comfy.conds.CONDRegular if name == "clean_first" else comfy.conds.CONDNoiseShape
            conditions[name] = kind(value.to(device))
        return conditions

    def stream_step(self, *args: Any, **given: Any) -> Tensor:
        """One pass of a stream: what `apply_model` is to a sampler."""
        return self.diffusion_model(*args, **given)


def latent_format(spec: ModelSpec) -> Any:
    """The host's format of a checkpoint's LATENT: Wan's, or plain for models that bring text encoder and VAE along."""
    return plain_format(spec.backbone.out_channels) if spec.vocabulary else wan_format(spec.backbone.out_channels)


def wan_format(num_channels: int) -> Any:
    """Between Wan's VAE and its transformers."""
    known = {16: comfy.latent_formats.Wan21, 48: comfy.latent_formats.Wan22}
    return known[num_channels]() if num_channels in known else plain_format(num_channels)


def plain_format(num_channels: int) -> Any:
    """Latents that are the same on both sides."""
    plain = comfy.latent_formats.LatentFormat()
    plain.latent_channels, plain.latent_dimensions = num_channels, 3
    return plain


def host_model(loaded: LoadedModel, checkpoint: str, compute: torch.dtype, fp8: bool = False) -> Any:
    """A ModelPatcher of `loaded`, which is not to be used afterwards: its tensors are taken over.

    compute: dtype of the computation and of the weights; fp8: the blocks' matrices are stored in float8_e4m3fn.
    """
    weights = fingerprint(loaded.model.state_dict())
    stored = _to_precision(loaded.model, compute, fp8)
    model = MotionStreamWan(HostedConfig(loaded, stored, compute), checkpoint, weights, mm.unet_offload_device())
    patcher = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    return patcher(model, load_device=mm.get_torch_device(), offload_device=mm.unet_offload_device())


def _to_precision(model: TrackWan, compute: torch.dtype, fp8: bool) -> torch.dtype:
    """Cast in place; returns what the blocks' matrices are stored in. Small parts that need it stay in float32."""
    for name, parameter in model.named_parameters():
        matrix = name.startswith("blocks.") and parameter.ndim == 2
        if matrix and (fp8 or parameter.dtype in FP8):
            parameter.data = parameter.data.to(torch.float8_e4m3fn if fp8 else parameter.dtype)
        elif name.startswith(("track_head.", "text_encoder.")):
            parameter.data = parameter.data.float()
        else:
            parameter.data = parameter.data.to(compute)
    return next(p.dtype for name, p in model.named_parameters() if name.startswith("blocks.") and p.ndim == 2)


def text_tokens(model: HostedWan, prompt: str) -> Tensor:
    """Text (1 l text_dim), on the CPU, by the word encoder that a bundled model brings along.

    Raises ValueError for an unknown word, or for a model that reads another encoder's text.
    """
    if model.text_encoder is None:
        raise ValueError(
            "this checkpoint has no text encoder of its own: it reads UMT5; encode the prompt with core's "
            "CLIPTextEncode (CLIPLoader, type wan) and give it as conditioning"
        )
    if len(prompt) > MAX_PROMPT_CHARS:
        raise ValueError(f"the prompt has {len(prompt)} characters; at most {MAX_PROMPT_CHARS} are read")
    encoder = model.text_encoder
    tokens = encoder.tokenize([prompt.strip()])
    # its few weights may lie on any device
    weights = encoder.embedding.weight, encoder.position
    table, position = (weight.detach().to("cpu", torch.float32) for weight in weights)
    return (F.embedding(tokens, table) + position) * (tokens > 0)[..., None]
