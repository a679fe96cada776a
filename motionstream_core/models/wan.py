"""The Wan diffusion transformer (Wan-Video/Wan2.1: wan/modules/model.py), bidirectional and chunk-causal.

One class serves Wan 2.1 text-to-video and image-to-video, Wan 2.2 5B, and every model with extra input channels:
parameter names are the original ones. What the channels of `latents` mean is the business of `conditioning.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .attention import attention, fastest_backend
from .kv_cache import KVCache, RopeRule
from .memory import LayerMemory, Memory, WholeClip


@dataclass(frozen=True)
class WanConfig:
    """Sizes of a Wan transformer. image_dim: width of CLIP tokens for image cross-attention, None without."""

    dim: int
    ffn_dim: int
    num_heads: int
    num_layers: int
    in_channels: int = 16
    out_channels: int = 16
    patch: tuple[int, int, int] = (1, 2, 2)
    freq_dim: int = 256
    text_dim: int = 4096
    text_len: int = 512
    image_dim: int | None = None
    eps: float = 1e-6
    rope_theta: float = 10000.0

    def __post_init__(self) -> None:
        if self.num_heads < 1 or self.dim < 1:
            raise ValueError(f"dim ({self.dim}) and num_heads ({self.num_heads}) must be at least 1")
        if self.dim % self.num_heads or (self.dim // self.num_heads) % 2:
            raise ValueError(f"dim ({self.dim}) must be num_heads ({self.num_heads}) times an even head size")
        if self.patch[0] != 1:
            raise ValueError(f"patch is {self.patch}; a temporal patch other than 1 is not supported")

    @property
    def head_dim(self) -> int:
        return self.dim // self.num_heads


@dataclass(frozen=True)
class CrossContext:
    """Cross-attention keys and values of a prompt, made once (`WanModel.prepare_context`).

    text, image: per block, a pair (b l k d); image is empty for models without image cross-attention.
    """

    text: tuple[tuple[Tensor, Tensor], ...]
    image: tuple[tuple[Tensor, Tensor], ...] = ()

    def layer(self, index: int) -> LayerContext:
        """Those of one block."""
        return LayerContext(self.text[index], self.image[index] if self.image else None)


@dataclass
class LayerContext:
    """A prompt's keys and values (b l k d) in one block; image: None for models without image cross-attention."""

    text: tuple[Tensor, Tensor]
    image: tuple[Tensor, Tensor] | None


class RMSNorm(nn.Module):
    """Root-mean-square norm over all heads' features together, in fp32."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight.to(x), self.eps)


class SelfAttention(nn.Module):
    """Attention of the tokens of a pass to what its memory shows them."""

    def __init__(self, config: WanConfig, ops: Any) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.q, self.k, self.v, self.o = (ops.Linear(config.dim, config.dim) for _ in range(4))
        self.norm_q, self.norm_k = _rms_norm(config, ops), _rms_norm(config, ops)

    def forward(self, x: Tensor, memory: LayerMemory) -> Tensor:
        q = _heads(self.norm_q(self.q(x)), self.num_heads)
        return self.o(memory.attend(q, *self._keys(x)).flatten(2))

    def keep(self, x: Tensor, memory: LayerMemory) -> None:
        """What `forward` leaves in a memory that is to remember the pass."""
        memory.keep(*self._keys(x))

    def _keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return _heads(self.norm_k(self.k(x)), self.num_heads), _heads(self.v(x), self.num_heads)


class CrossAttention(nn.Module):
    """Attention to the text and, in image-to-video models, to the image's CLIP tokens; the two results add up."""

    def __init__(self, config: WanConfig, ops: Any) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.q, self.k, self.v, self.o = (ops.Linear(config.dim, config.dim) for _ in range(4))
        self.norm_q, self.norm_k = _rms_norm(config, ops), _rms_norm(config, ops)
        self.attend = _supplied(ops, "attention", attention)
        if config.image_dim is not None:
            self.k_img, self.v_img = ops.Linear(config.dim, config.dim), ops.Linear(config.dim, config.dim)
            self.norm_k_img = _rms_norm(config, ops)

    def text_keys(self, text: Tensor) -> tuple[Tensor, Tensor]:
        return _heads(self.norm_k(self.k(text)), self.num_heads), _heads(self.v(text), self.num_heads)

    def image_keys(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return _heads(self.norm_k_img(self.k_img(image)), self.num_heads), _heads(self.v_img(image), self.num_heads)

    def forward(self, x: Tensor, context: LayerContext) -> Tensor:
        q = _heads(self.norm_q(self.q(x)), self.num_heads)
        out = self.attend(q, *_cast(context.text, q)).flatten(2)
        if context.image is not None:
            out = out + self.attend(q, *_cast(context.image, q)).flatten(2)
        return self.o(out)


class Block(nn.Module):
    """Self-attention, cross-attention, feed-forward; shift, scale and gate of the outer two come from the timestep.

    Nothing that it is given differs between layers but in a tensor's values: compiled once, it serves them all.
    """

    def __init__(self, config: WanConfig, ops: Any) -> None:
        super().__init__()
        self.norm1 = ops.LayerNorm(config.dim, eps=config.eps, elementwise_affine=False)
        self.self_attn = SelfAttention(config, ops)
        self.norm3 = ops.LayerNorm(config.dim, eps=config.eps, elementwise_affine=True)
        self.cross_attn = CrossAttention(config, ops)
        self.norm2 = ops.LayerNorm(config.dim, eps=config.eps, elementwise_affine=False)
        self.ffn = nn.Sequential(
            ops.Linear(config.dim, config.ffn_dim), nn.GELU(approximate="tanh"), ops.Linear(config.ffn_dim, config.dim)
        )
        self.modulation = _modulation(6, config.dim)

    def context_keys(self, text: Tensor, image: Tensor | None = None) -> tuple[Tensor, ...]:
        """This block's keys and values (b l k d) of embedded text and, where there are any, of embedded CLIP tokens."""
        # views gather a block's gradients before they meet the other blocks': the order of sums when it is sharded
        text, image = text.view_as(text), None if image is None else image.view_as(image)
        keys = self.cross_attn.text_keys(text)
        return keys if image is None else (*keys, *self.cross_attn.image_keys(image))

    def forward(
        self, x: Tensor, time: Tensor, context: LayerContext, memory: LayerMemory, keys_only: bool = False
    ) -> Tensor:
        """Tokens (b l d) for the next block. keys_only: there is none, only the memory takes its keys; x comes back."""
        modulation = self.modulation.to(time)[:, None] + time  # (b f 6 d), f = 1 where all frames share
        shift_attn, scale_attn, gate_attn, shift_ffn, scale_ffn, gate_ffn = modulation.unbind(2)
        y = _modulate(self.norm1(x), shift_attn, scale_attn)
        if keys_only:
            self.self_attn.keep(y, memory)
            return x
        x = _gate(x, self.self_attn(y, memory), gate_attn)
        x = x + self.cross_attn(self.norm3(x), context)
        y = self.ffn(_modulate(self.norm2(x), shift_ffn, scale_ffn))
        return _gate(x, y, gate_ffn)


class Head(nn.Module):
    """Tokens to patches of velocity."""

    def __init__(self, config: WanConfig, ops: Any) -> None:
        super().__init__()
        self.norm = ops.LayerNorm(config.dim, eps=config.eps, elementwise_affine=False)
        self.head = ops.Linear(config.dim, config.out_channels * config.patch[1] * config.patch[2])
        self.modulation = _modulation(2, config.dim)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        shift, scale = (self.modulation.to(time)[:, None] + time[:, :, None]).unbind(2)
        return self.head(_modulate(self.norm(x), shift, scale))


class ImageProjection(nn.Module):
    """CLIP tokens (b l image_dim) to the transformer's width."""

    def __init__(self, image_dim: int, dim: int, ops: Any) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            ops.LayerNorm(image_dim),
            ops.Linear(image_dim, image_dim),
            nn.GELU(),
            ops.Linear(image_dim, dim),
            ops.LayerNorm(dim),
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image)


class WanModel(nn.Module):
    """Predicts the velocity of noisy latents.

    `ops` supplies Linear, LayerNorm and Conv3d (torch.nn, or a host's); a host's may also bring its own RMSNorm and
    `attention`, which takes what `attention.attention` takes.
    """

    def __init__(self, config: WanConfig, ops: Any = nn) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.patch_embedding = ops.Conv3d(config.in_channels, dim, kernel_size=config.patch, stride=config.patch)
        self.text_embedding = nn.Sequential(
            ops.Linear(config.text_dim, dim), nn.GELU(approximate="tanh"), ops.Linear(dim, dim)
        )
        self.time_embedding = nn.Sequential(ops.Linear(config.freq_dim, dim), nn.SiLU(), ops.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), ops.Linear(dim, dim * 6))
        self.blocks = nn.ModuleList(Block(config, ops) for _ in range(config.num_layers))
        self.attention = _supplied(ops, "attention", attention)
        self.head = Head(config, ops)
        self._steady_block: Callable[..., Tensor] | None = None
        if config.image_dim is not None:
            self.img_emb = ImageProjection(config.image_dim, dim, ops)

    @property
    def placement(self) -> tuple[torch.device, torch.dtype]:
        """Device and dtype that the model computes in; a host that keeps weights elsewhere says so here."""
        weight = self.patch_embedding.weight
        return weight.device, weight.dtype

    def compile_blocks(self, **options: Any) -> None:
        """Run blocks by `torch.compile` from now on, one graph for all of them, where a memory's shapes stay.

        Elsewhere they run as before: while a stream's window fills, every chunk would be a graph of its own. options:
        of torch.compile, e.g. its backend or mode.
        """
        self._steady_block = torch.compile(_run_block, dynamic=False, **options)

    def prepare_context(self, text: Tensor, image: Tensor | None = None) -> CrossContext:
        """Cross-attention keys and values of text embeddings (b l text_dim) and CLIP tokens (b 257 image_dim).

        Text is padded with zeros to text_len, as Wan does. Raises ValueError when the text is too long, or when image
        tokens are missing or not wanted.
        """
        config = self.config
        if text.shape[1] > config.text_len:
            raise ValueError(f"text has {text.shape[1]} tokens, but this model takes at most {config.text_len}")
        if (image is None) != (config.image_dim is None):
            wanted = "needs image tokens" if image is None else "has no image cross-attention; pass no image tokens"
            raise ValueError(f"this model {wanted}")
        fastest_backend(text.device)  # found here, where no pass is compiled yet
        embedded = self.embed_context(F.pad(text, (0, 0, 0, config.text_len - text.shape[1])), image)
        keys = [block.context_keys(*embedded) for block in self._blocks()]
        texts = tuple((key, value) for key, value, *_ in keys)
        return CrossContext(texts, () if image is None else tuple((key, value) for _, _, key, value in keys))

    def embed_context(self, text: Tensor, image: Tensor | None = None) -> tuple[Tensor, ...]:
        """Text embeddings and, where there are any, CLIP tokens at the transformer's width (b l dim)."""
        embedded = self.text_embedding(text)
        return (embedded,) if image is None else (embedded, self.img_emb(image))

    def make_cache(
        self,
        batch_size: int,
        height: int,
        width: int,
        *,
        sink_frames: int,
        window_frames: int,
        chunk_frames: int,
        rope_rule: RopeRule,
        dtype: torch.dtype | None = None,
    ) -> KVCache:
        """An empty KVCache for latents of height x width cells, on this model's device.

        dtype: None is the model's.
        """
        device, own_dtype = self.placement
        return KVCache(
            num_layers=self.config.num_layers,
            batch_size=batch_size,
            num_heads=self.config.num_heads,
            head_dim=self.config.head_dim,
            height=height // self.config.patch[1],
            width=width // self.config.patch[2],
            sink_frames=sink_frames,
            window_frames=window_frames,
            chunk_frames=chunk_frames,
            rope_rule=rope_rule,
            dtype=dtype or own_dtype,
            device=device,
            rope_theta=self.config.rope_theta,
            attention=self.attention,
        )

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        context: CrossContext,
        memory: Memory | None = None,
        keys_only: bool = False,
    ) -> Tensor:
        """Velocity (b out_channels f h w) of latents (b in_channels f h w).

        timestep: (b) in [0, 1000], or (b f), one for each latent frame. memory: what the frames see beside themselves;
        None is a whole clip, whose frames all see each other. keys_only: of a pass that `memory` keeps, what only the
        velocity needs is left out; an empty tensor (b 0) comes back.
        """
        _, _, num_frames, height, width = latents.shape
        rows, columns = height // self.config.patch[1], width // self.config.patch[2]
        # a patch is a plain reshape and one matrix product, which is faster than a strided Conv3d on every device
        patches = rearrange(
            latents, "b c f (h p) (w q) -> b (f h w) (c p q)", p=self.config.patch[1], q=self.config.patch[2]
        )
        x = self._embed_patches(patches)
        if memory is None:
            grid = rows, columns, self.config.head_dim, x.device
            memory = WholeClip(*grid, rope_theta=self.config.rope_theta, attention=self.attention)
        memory.begin(num_frames)
        time = self._embed_time(timestep, x.dtype)
        modulation = self.time_projection(time).unflatten(-1, (6, -1))
        last = self.config.num_layers - 1
        run = self._steady_block if self._steady_block is not None and memory.is_steady else _run_block
        for index, block in enumerate(self._blocks()):
            x = run(block, x, modulation, context.layer(index), memory.layer(index), keys_only and index == last)
        if keys_only:
            return x.new_empty(x.shape[0], 0)
        out = self.head(x, time)
        return rearrange(
            out,
            "b (f h w) (p q c) -> b c f (h p) (w q)",
            f=num_frames,
            h=rows,
            w=columns,
            p=self.config.patch[1],
            q=self.config.patch[2],
        )

    def _embed_patches(self, patches: Tensor) -> Tensor:
        weight, bias = self.patch_embedding.weight, self.patch_embedding.bias
        return F.linear(patches.to(weight.dtype), weight.flatten(1), bias)

    def _embed_time(self, timestep: Tensor, dtype: torch.dtype) -> Tensor:
        """(b f dim), f = 1 for one timestep per sample."""
        steps = timestep[:, None] if timestep.ndim == 1 else timestep
        return self.time_embedding(sinusoid(steps, self.config.freq_dim).to(dtype))

    def _blocks(self) -> Sequence[Block]:
        return self.blocks  # type: ignore[return-value]  # ModuleList is a sequence of its modules


def _run_block(block: Block, *given: Any) -> Tensor:
    return block(*given)


def sinusoid(positions: Tensor, dim: int, max_period: float = 10000.0) -> Tensor:
    """Sinusoidal embedding (... dim) = [cos | sin] of positions (...), fp32 from fp64 angles."""
    half = dim // 2
    rates = max_period ** -(torch.arange(half, dtype=torch.float64, device=positions.device) / half)
    angles = positions.double()[..., None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=-1).float()


def _supplied(ops: Any, name: str, own: Any) -> Any:
    """What a host's `ops` brings under `name`, else our own; torch.nn's namesakes are not meant."""
    return own if ops is nn else getattr(ops, name, own)


def _rms_norm(config: WanConfig, ops: Any) -> nn.Module:
    """A norm over all heads' features together."""
    return _supplied(ops, "RMSNorm", RMSNorm)(config.dim, eps=config.eps)


def _modulation(num_parts: int, dim: int) -> nn.Parameter:
    """Random shifts, scales and gates (1 num_parts dim), to be learned."""
    drawn = torch.randn(1, num_parts, dim)
    # on the meta device nothing is drawn, and any arithmetic imports PyTorch's compiler: a second of every start
    return nn.Parameter(drawn if drawn.is_meta else drawn / dim**0.5)


def _heads(x: Tensor, num_heads: int) -> Tensor:
    """(b l (k d)) -> (b l k d)"""
    return x.unflatten(-1, (num_heads, -1))


def _cast(pair: tuple[Tensor, Tensor], like: Tensor) -> tuple[Tensor, Tensor]:
    return pair[0].to(like.dtype), pair[1].to(like.dtype)


def _per_frame(x: Tensor, num_frames: int) -> Tensor:
    """(b (f l) d) -> (b f l d)"""
    return x.unflatten(1, (num_frames, -1))


def _modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """x (b l d) * (1 + scale) + shift, the two (b f d) with f dividing l."""
    if shift.shape[1] == 1:
        return torch.addcmul(shift, x, 1 + scale)
    frames = _per_frame(x, shift.shape[1])
    return torch.addcmul(shift[:, :, None], frames, 1 + scale[:, :, None]).flatten(1, 2)


def _gate(x: Tensor, y: Tensor, gate: Tensor) -> Tensor:
    """x + y * gate, gate (b f d)."""
    num_frames = gate.shape[1]
    if num_frames == 1:
        return torch.addcmul(x, y, gate)
    return torch.addcmul(_per_frame(x, num_frames), _per_frame(y, num_frames), gate[:, :, None]).flatten(1, 2)
