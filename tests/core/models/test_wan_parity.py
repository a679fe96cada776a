"""The Wan transformer against diffusers' with the same random weights, and the ways to call it against each other."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from motionstream_core.models.memory import WholeClip
from motionstream_core.models.wan import CrossContext, WanConfig, WanModel

pytest.importorskip("diffusers", reason="the reference is diffusers' own model")

from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

TOLERANCE = 1e-4
# Original name -> diffusers name. The two number the norms of a block differently: the affine one, before
# cross-attention, is norm3 here and norm2 there.
KEY_MAP = (
    (r"patch_embedding\.", "patch_embedding."),
    (r"text_embedding\.0\.", "condition_embedder.text_embedder.linear_1."),
    (r"text_embedding\.2\.", "condition_embedder.text_embedder.linear_2."),
    (r"time_embedding\.0\.", "condition_embedder.time_embedder.linear_1."),
    (r"time_embedding\.2\.", "condition_embedder.time_embedder.linear_2."),
    (r"time_projection\.1\.", "condition_embedder.time_proj."),
    (r"img_emb\.proj\.0\.", "condition_embedder.image_embedder.norm1."),
    (r"img_emb\.proj\.1\.", "condition_embedder.image_embedder.ff.net.0.proj."),
    (r"img_emb\.proj\.3\.", "condition_embedder.image_embedder.ff.net.2."),
    (r"img_emb\.proj\.4\.", "condition_embedder.image_embedder.norm2."),
    (r"head\.head\.", "proj_out."),
    (r"head\.modulation", "scale_shift_table"),
    (r"(blocks\.\d+)\.modulation", r"\1.scale_shift_table"),
    (r"(blocks\.\d+)\.norm3\.", r"\1.norm2."),
    (r"(blocks\.\d+)\.ffn\.0\.", r"\1.ffn.net.0.proj."),
    (r"(blocks\.\d+)\.ffn\.2\.", r"\1.ffn.net.2."),
    (r"(blocks\.\d+)\.self_attn\.([qkv])\.", r"\1.attn1.to_\2."),
    (r"(blocks\.\d+)\.self_attn\.o\.", r"\1.attn1.to_out.0."),
    (r"(blocks\.\d+)\.self_attn\.norm_([qk])\.", r"\1.attn1.norm_\2."),
    (r"(blocks\.\d+)\.cross_attn\.([qkv])\.", r"\1.attn2.to_\2."),
    (r"(blocks\.\d+)\.cross_attn\.o\.", r"\1.attn2.to_out.0."),
    (r"(blocks\.\d+)\.cross_attn\.norm_([qk])\.", r"\1.attn2.norm_\2."),
    (r"(blocks\.\d+)\.cross_attn\.([kv])_img\.", r"\1.attn2.add_\2_proj."),
    (r"(blocks\.\d+)\.cross_attn\.norm_k_img\.", r"\1.attn2.norm_added_k."),
)


def diffusers_name(original: str) -> str:
    hits = [re.sub(rf"^{pattern}", name, original) for pattern, name in KEY_MAP if re.match(pattern, original)]
    assert len(hits) == 1, f"{original}: {hits}"
    return hits[0]


@dataclass(frozen=True)
class Case:
    config: WanConfig
    latent_size: tuple[int, int, int]  # f h w
    batch_size: int = 1
    text_tokens: int = 5
    image_tokens: int = 0


def small(head_dim: int, num_heads: int, num_layers: int, **more: int | None) -> WanConfig:
    dim = head_dim * num_heads
    sizes = {"in_channels": 16, "out_channels": 16, "freq_dim": 32, "text_dim": 20, "text_len": 12} | more
    return WanConfig(dim=dim, ffn_dim=2 * dim + 8, num_heads=num_heads, num_layers=num_layers, **sizes)  # type: ignore[arg-type]


CASES = {
    "t2v-d12": Case(small(12, 2, 3), (3, 4, 6), batch_size=2),
    "t2v-d16-one-token": Case(small(16, 3, 2), (1, 2, 2)),
    "t2v-d32-tall": Case(small(32, 2, 2, in_channels=20, out_channels=4), (2, 10, 4), batch_size=2, text_tokens=12),
    "t2v-d64-one-frame": Case(small(64, 1, 2), (1, 6, 8)),
    "t2v-d128-track": Case(small(128, 2, 1, in_channels=52), (4, 4, 6)),
    "t2v-48": Case(small(24, 2, 2, in_channels=48, out_channels=48), (5, 2, 6)),
    "i2v-d12": Case(small(12, 2, 2, in_channels=36, text_len=512, image_dim=28), (3, 6, 4), 2, image_tokens=9),
    "i2v-d128": Case(small(128, 1, 1, in_channels=36, text_len=512, image_dim=40), (2, 4, 4), image_tokens=257),
}


@torch.no_grad()
def randomise(module: nn.Module, seed: int) -> None:
    """Every parameter random, none left at the 1 or 0 it starts with, and all of a size that matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        if "norm" in name or re.search(r"img_emb\.proj\.[04]\.", name):
            parameter.copy_(drawn * 0.3 + (1 if name.endswith("weight") else 0))
        elif "modulation" in name or name.endswith("bias"):
            parameter.copy_(drawn * 0.3)
        else:
            parameter.copy_(drawn / parameter[0].numel() ** 0.5)


@dataclass(frozen=True)
class Pair:
    """The two models with equal weights and one input for both."""

    case: Case
    ours: WanModel
    theirs: nn.Module
    latents: Tensor
    text: Tensor
    image: Tensor | None

    def context(self) -> CrossContext:
        return self.ours.prepare_context(self.text, self.image)

    def reference(self, timestep: Tensor) -> Tensor:
        padded = torch.zeros(self.text.shape[0], self.case.config.text_len, self.text.shape[2])
        padded[:, : self.text.shape[1]] = self.text
        return self.theirs(self.latents, timestep, padded, self.image, return_dict=False)[0]


def build(case: Case) -> Pair:
    config = case.config
    ours = WanModel(config).eval()
    randomise(ours, seed=1)
    theirs = WanTransformer3DModel(
        patch_size=config.patch,
        num_attention_heads=config.num_heads,
        attention_head_dim=config.head_dim,
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        text_dim=config.text_dim,
        freq_dim=config.freq_dim,
        ffn_dim=config.ffn_dim,
        num_layers=config.num_layers,
        eps=config.eps,
        image_dim=config.image_dim,
        added_kv_proj_dim=None if config.image_dim is None else config.dim,
    ).eval()
    theirs.load_state_dict({diffusers_name(name): tensor for name, tensor in ours.state_dict().items()}, strict=True)
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> Tensor:
        return torch.randn(case.batch_size, *shape, generator=generator)

    image = None if config.image_dim is None else draw(case.image_tokens, config.image_dim)
    latents, text = draw(config.in_channels, *case.latent_size), draw(case.text_tokens, config.text_dim)
    return Pair(case, ours, theirs, latents, text, image)


def relative_error(ours: Tensor, reference: Tensor) -> float:
    """Largest difference in units of the reference's spread."""
    assert ours.shape == reference.shape
    return float((ours - reference).abs().max() / reference.std())


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_equals_diffusers(name: str) -> None:
    pair = build(CASES[name])
    timestep = torch.tensor([37.5, 640.0])[: pair.case.batch_size]
    out = pair.ours(pair.latents, timestep, pair.context())
    assert out.shape == (pair.case.batch_size, pair.case.config.out_channels, *pair.case.latent_size)
    assert relative_error(out, pair.reference(timestep)) < TOLERANCE


@pytest.mark.parametrize("timestep", [0.0, 1.0, 333.25, 999.0, 1000.0])
@torch.no_grad()
def test_equals_diffusers_at_every_level(timestep: float) -> None:
    pair = build(CASES["t2v-d12"])
    steps = torch.full((2,), timestep)
    assert relative_error(pair.ours(pair.latents, steps, pair.context()), pair.reference(steps)) < TOLERANCE


@pytest.mark.parametrize("name", ["t2v-d12", "t2v-48", "i2v-d12"])
@torch.no_grad()
def test_a_timestep_per_frame_equals_diffusers(name: str) -> None:
    """diffusers takes one timestep per token (Wan 2.2 5B, expand_timesteps): frame 0 clean, no two alike."""
    pair = build(CASES[name])
    num_frames, height, width = pair.case.latent_size
    clip = torch.arange(pair.case.batch_size)[:, None]
    per_frame = torch.linspace(0, 910, num_frames) + 7.5 * clip * torch.arange(num_frames)
    per_token = per_frame.repeat_interleave(height * width // 4, dim=1)
    out = pair.ours(pair.latents, per_frame, pair.context())
    assert relative_error(out, pair.reference(per_token)) < TOLERANCE


@torch.no_grad()
def test_equal_timesteps_per_frame_are_the_clips() -> None:
    pair = build(CASES["t2v-d12"])
    per_clip, context = torch.tensor([250.0, 800.0]), pair.context()
    per_frame = per_clip[:, None].expand(-1, 3)
    ours, same = pair.ours(pair.latents, per_clip, context), pair.ours(pair.latents, per_frame, context)
    torch.testing.assert_close(same, ours, rtol=1e-6, atol=1e-6)
    other = pair.ours(pair.latents, per_frame + torch.tensor([0.0, 0.0, 90.0]), context)
    assert relative_error(other, ours) > 1e-2


@pytest.mark.parametrize("name", ["t2v-d12", "i2v-d12"])
def test_the_comparison_sees_every_parameter(name: str) -> None:
    """Were the output blind to one, equality with diffusers would say nothing of it."""
    pair = build(CASES[name])
    out = pair.ours(pair.latents, torch.tensor([37.5, 640.0]), pair.context())
    (out / out.std().detach() * torch.randn(out.shape, generator=torch.Generator().manual_seed(3))).sum().backward()
    effect = {  # a key's bias would cancel in the softmax, were it not for the norm after it
        name: float(parameter.grad.norm() * parameter.detach().norm()) if parameter.grad is not None else 0.0
        for name, parameter in pair.ours.named_parameters()
    }
    assert [name for name, size in effect.items() if size < 1e-2] == []


@torch.no_grad()
def test_frame_positions_are_relative() -> None:
    """Attention sees differences of positions alone, so a shifted clip is the same and a stretched one is not."""
    pair = build(CASES["t2v-d12"])
    steps, context = torch.tensor([100.0, 100.0]), pair.context()
    first = pair.ours(pair.latents, steps, context)

    def placed(*positions: int) -> Tensor:
        height, width = pair.latents.shape[3] // 2, pair.latents.shape[4] // 2
        grid = height, width, pair.ours.config.head_dim, torch.device("cpu")
        return pair.ours(pair.latents, steps, context, WholeClip(*grid, frame_positions=positions))

    assert torch.equal(placed(0, 1, 2), first)
    torch.testing.assert_close(placed(7, 8, 9), first, rtol=1e-4, atol=1e-4)
    assert relative_error(placed(0, 1, 9), first) > 1e-2


@torch.no_grad()
def test_half_precision_stays_near() -> None:
    pair = build(CASES["i2v-d12"])
    steps = torch.tensor([37.5, 640.0])
    reference = pair.reference(steps)
    half = pair.ours.bfloat16()
    assert pair.image is not None
    context = half.prepare_context(pair.text.bfloat16(), pair.image.bfloat16())
    out = half(pair.latents, steps, context)
    assert out.dtype == torch.bfloat16
    assert (out.float() - reference).pow(2).mean().sqrt() / reference.std() < 0.02


def test_the_context_names_what_is_wrong() -> None:
    text_only, with_image = WanModel(CASES["t2v-d12"].config), WanModel(CASES["i2v-d12"].config)
    text, image = torch.zeros(1, 3, 20), torch.zeros(1, 9, 28)
    with pytest.raises(ValueError, match="needs image tokens"):
        with_image.prepare_context(text)
    with pytest.raises(ValueError, match="pass no image tokens"):
        text_only.prepare_context(text, image)
    with pytest.raises(ValueError, match=r"13 tokens.* at most 12"):
        text_only.prepare_context(torch.zeros(1, 13, 20))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"num_heads": 5}, r"dim \(24\)"), ({"num_heads": 8}, "even head size"), ({"patch": (2, 2, 2)}, "temporal patch")],
)
def test_a_config_that_cannot_work_is_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CASES["t2v-d12"].config, **change)  # type: ignore[arg-type]
