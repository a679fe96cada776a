"""A teacher that starts from published weights: what it predicts, where its new channels come from, what they learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from motionstream_core.checkpoints import ModelSpec
from motionstream_core.models.conditioning import Conditions, InputLayout, assemble
from motionstream_core.models.track_head import TrackHeadConfig
from motionstream_core.models.track_wan import TrackWan
from motionstream_core.models.wan import WanConfig, WanModel
from motionstream_core.training.data import Batch
from motionstream_core.training.engine.engine import Compute, Engine
from motionstream_core.training.engine.optimizers import OptimizerSettings
from motionstream_core.training.stages.conditions import Conditioned
from motionstream_core.training.stages.initialise import PATCH, RANDOM_SHARE, WanWeights, teacher_from
from motionstream_core.training.stages.losses import draw_flow, flow_loss

CHANNELS, SIDE, LATENT_FRAMES = 4, 4, 3
INP = InputLayout((("noise", CHANNELS), ("mask", 4), ("image", CHANNELS)))
CONTROL = InputLayout((("noise", CHANNELS), ("track", CHANNELS), ("image", CHANNELS)))
CONFIG = WanConfig(
    dim=24,
    ffn_dim=32,
    num_heads=2,
    num_layers=2,
    in_channels=INP.num_channels,
    out_channels=CHANNELS,
    freq_dim=8,
    text_dim=6,
    text_len=5,
    image_dim=10,
)
SPEC = ModelSpec(
    role="teacher",
    backbone=replace(CONFIG, in_channels=16),
    layout=InputLayout((*INP.slots, ("track", CHANNELS))),
    track_head=TrackHeadConfig(id_dim=8, out_channels=CHANNELS),
    image_rule="first_latent",
    frame_size=(32, 32),
)


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def wan(layout: InputLayout, seed: int, **changes: int | None) -> WanModel:
    model = WanModel(replace(CONFIG, in_channels=layout.num_channels, **changes))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model.eval()


def published(layout: InputLayout, seed: int, name: str = "inp.safetensors") -> WanWeights:
    return WanWeights(wan(layout, seed).state_dict(), layout, name)


def without(weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: value for key, value in weights.items() if key != name}


BASE, WITH_CONTROL = published(INP, seed=1), published(CONTROL, seed=2, name="control.safetensors")


def slot(model: TrackWan, kind: str) -> Tensor:
    widths = [width for _, width in SPEC.layout.slots]
    index = [name for name, _ in SPEC.layout.slots].index(kind)
    return model.patch_embedding.weight.split(widths, dim=1)[index]


def predict(model: WanModel, layout: InputLayout, seed: int, track: Tensor | None) -> Tensor:
    context = model.prepare_context(draw(2, 5, 6, seed=seed), draw(2, 7, 10, seed=seed + 1))
    noisy, mask, image = (draw(2, 4, LATENT_FRAMES, SIDE, SIDE, seed=seed + i) for i in (2, 3, 4))
    given = Conditions(context, mask, image, track)
    return model(assemble(layout, noisy, given), torch.tensor([100.0, 900.0]), context)


@pytest.mark.parametrize("control", [None, WITH_CONTROL], ids=["random", "control"])
@torch.no_grad()
def test_without_tracks_it_is_the_published_model(control: WanWeights | None) -> None:
    teacher = teacher_from(SPEC, BASE, control).eval()
    zero, some = torch.zeros(2, 4, LATENT_FRAMES, SIDE, SIDE), draw(2, 4, LATENT_FRAMES, SIDE, SIDE, seed=9)
    expected = predict(wan(INP, seed=1), INP, 5, None)
    torch.testing.assert_close(predict(teacher, SPEC.layout, 5, zero), expected, rtol=1e-5, atol=1e-6)
    assert (predict(teacher, SPEC.layout, 5, some) - expected).abs().max() > 1e-3
    for name, value in BASE.weights.items():
        if name != PATCH:
            assert torch.equal(teacher.state_dict()[name], value)


def test_published_tensors_are_taken_over_and_not_copied() -> None:
    """Those of a large model are mapped from its file."""
    model = teacher_from(SPEC, BASE)
    for name, value in model.state_dict().items():
        if name != PATCH and not name.startswith("track_head."):
            assert value.data_ptr() == BASE.weights[name].data_ptr(), name


def test_channels_keep_their_meaning_in_another_order() -> None:
    turned = InputLayout((("image", CHANNELS), ("noise", CHANNELS), ("mask", 4)))
    base = published(turned, seed=1)
    model = teacher_from(SPEC, base)
    image, noise, mask = base.weights[PATCH].split(4, dim=1)
    for kind, expected in (("image", image), ("noise", noise), ("mask", mask)):
        assert torch.equal(slot(model, kind), expected)


def test_the_track_slot_is_fun_controls_control_slot() -> None:
    model = teacher_from(SPEC, BASE, WITH_CONTROL)
    assert torch.equal(slot(model, "track"), WITH_CONTROL.weights[PATCH][:, 4:8])
    assert torch.equal(slot(model, "noise"), BASE.weights[PATCH][:, :4])


def test_a_random_track_slot_is_small_and_comes_from_the_seed() -> None:
    first, again, other = (teacher_from(SPEC, BASE, seed=seed) for seed in (3, 3, 4))
    assert first.track_head is not None and again.track_head is not None and other.track_head is not None
    share = slot(first, "track").std() / slot(first, "noise").square().mean().sqrt()
    assert float(share.detach()) == pytest.approx(RANDOM_SHARE, rel=0.15)
    assert torch.equal(first.patch_embedding.weight, again.patch_embedding.weight)
    assert torch.equal(first.track_head.proj.weight, again.track_head.proj.weight)
    assert not torch.equal(first.patch_embedding.weight, other.patch_embedding.weight)
    assert not torch.equal(first.track_head.proj.weight, other.track_head.proj.weight)


def test_half_precision_weights_are_trained_in_full_precision() -> None:
    half = replace(BASE, weights={name: value.bfloat16() for name, value in BASE.weights.items()})
    model = teacher_from(SPEC, half)
    Engine(Compute(torch.device("cpu"))).part("teacher", model, OptimizerSettings("adamw", 1e-3))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    torch.testing.assert_close(slot(model, "image"), BASE.weights[PATCH][:, 8:], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("control", [None, WITH_CONTROL], ids=["random", "control"])
def test_head_and_slot_learn_from_the_first_step(control: WanWeights | None) -> None:
    """Zero in both would keep both at zero for ever."""
    model = teacher_from(SPEC, BASE, control)
    frames = 1 + 4 * (LATENT_FRAMES - 1)
    batch = Batch(
        draw(2, CHANNELS, LATENT_FRAMES, SIDE, SIDE, seed=3),
        torch.rand(2, frames, 3, 2, generator=torch.Generator().manual_seed(4)) * 32,
        torch.ones(2, frames, 3, dtype=torch.bool),
        ["", ""],
        text=draw(2, 5, 6, seed=5),
        empty_text=torch.zeros(5, 6),
        image_tokens=draw(2, 7, 10, seed=6),
    )
    generator = torch.Generator().manual_seed(7)
    flow_loss(model, SPEC, batch, draw_flow(batch, SPEC, Conditioned.on_everything(2), generator)).backward()
    assert model.track_head is not None and model.track_head.proj.weight.grad is not None
    gradient = model.patch_embedding.weight.grad
    assert gradient is not None
    assert model.track_head.proj.weight.grad.abs().max() > 1e-6
    assert gradient[:, INP.num_channels :].abs().max() > 1e-6


def test_what_does_not_fit_is_listed() -> None:
    name = "blocks.1.ffn.0.weight"
    with pytest.raises(ValueError, match=rf"inp.safetensors do not fit .*missing: {name}"):
        teacher_from(SPEC, replace(BASE, weights=without(BASE.weights, name)))
    with pytest.raises(ValueError, match=r"unknown: ref_conv.weight"):
        teacher_from(SPEC, replace(BASE, weights={**BASE.weights, "ref_conv.weight": torch.zeros(1)}))
    wide = wan(INP, 1, ffn_dim=40).state_dict()
    with pytest.raises(ValueError, match=r"wrong shape: blocks.0.ffn.0.weight is \(40, 24\), not \(32, 24\)"):
        teacher_from(SPEC, replace(BASE, weights=wide))
    with pytest.raises(ValueError, match=r"wrong shape: patch_embedding.weight is \(24, 12, 1, 2, 2\), not \(24, 8,"):
        teacher_from(SPEC, replace(BASE, layout=InputLayout((("noise", 4), ("image", 4)))))


def test_layouts_that_cannot_serve_are_refused() -> None:
    text_only = published(InputLayout((("noise", CHANNELS),)), seed=1, name="t2v.safetensors")
    with pytest.raises(ValueError, match=r"t2v.safetensors has no input channels for 'mask'"):
        teacher_from(SPEC, text_only)
    odd = InputLayout((("noise", CHANNELS), ("mask", 2), ("image", 6)))
    with pytest.raises(ValueError, match=r"has 2 channels for 'mask', but the model takes 4"):
        teacher_from(SPEC, replace(BASE, layout=odd))


def test_control_weights_that_cannot_serve_are_refused() -> None:
    with pytest.raises(ValueError, match=r"takes 12 input channels, not 8: noise 4 \| track 4"):
        teacher_from(SPEC, BASE, replace(WITH_CONTROL, layout=InputLayout((("noise", 4), ("track", 4)))))
    with pytest.raises(ValueError, match="names no control channels"):
        teacher_from(SPEC, BASE, replace(WITH_CONTROL, layout=INP))
    silent = dict(WITH_CONTROL.weights)
    silent[PATCH] = silent[PATCH].clone()
    silent[PATCH][:, 4:8] = 0
    with pytest.raises(ValueError, match="control channels that are all zero; leave it out"):
        teacher_from(SPEC, BASE, replace(WITH_CONTROL, weights=silent))
    with pytest.raises(ValueError, match="must be of one size of model"):
        teacher_from(SPEC, BASE, replace(WITH_CONTROL, weights=wan(CONTROL, 2, dim=48).state_dict()))
    with pytest.raises(ValueError, match=r"control.safetensors has no patch_embedding.weight"):
        teacher_from(SPEC, BASE, replace(WITH_CONTROL, weights=without(WITH_CONTROL.weights, PATCH)))
