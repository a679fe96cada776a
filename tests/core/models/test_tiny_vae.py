"""The tiny VAE: keys and shapes of the published weights, causal in time, the stream equal to the whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.measure.held_memory import HeldMemory
from motionstream_core.models.vae import tiny_vae
from motionstream_core.models.vae.tiny_vae import TAEW2_1, TAEW2_2, Grow, MemBlock, TinyVae, TinyVaeConfig

REAL_LATENTS = Path(__file__).resolve().parents[3].parent / "shared/data/latents/wan21_ncthw_16x40x64.safetensors"

# Of the bundled model's kind: stride 8 by a patch of 2 and two doublings.
TINY = TinyVaeConfig(
    latent_channels=4,
    patch_size=2,
    decoder_widths=(12, 8, 8, 6),
    encoder_width=8,
    decoder_space_upscale=(True, True, False),
    encoder_space_downscale=(False, True, True),
)


def build(config: TinyVaeConfig) -> TinyVae:
    """Random weights large enough that every layer leaves its mark on the output."""
    torch.manual_seed(0)
    vae = TinyVae(config).eval().requires_grad_(False)
    for parameter in vae.parameters():
        parameter *= 1.6
    return vae


def mem_block(prefix: str, width: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}.conv.0.weight": (width, 2 * width, 3, 3),
        f"{prefix}.conv.0.bias": (width,),
        f"{prefix}.conv.2.weight": (width, width, 3, 3),
        f"{prefix}.conv.2.bias": (width,),
        f"{prefix}.conv.4.weight": (width, width, 3, 3),
        f"{prefix}.conv.4.bias": (width,),
    }


def published_shapes(latent_channels: int, pixel_channels: int) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of taew2_1 (16, 3) and taew2_2 (48, 12), from the layer table of method.md section 6."""
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.0.weight": (64, pixel_channels, 3, 3),
        "encoder.0.bias": (64,),
        "encoder.17.weight": (latent_channels, 64, 3, 3),
        "encoder.17.bias": (latent_channels,),
        "decoder.1.weight": (256, latent_channels, 3, 3),
        "decoder.1.bias": (256,),
        "decoder.22.weight": (pixel_channels, 64, 3, 3),
        "decoder.22.bias": (pixel_channels,),
    }
    for first, frames in ((2, 2), (7, 2), (12, 1)):  # pool, halving convolution, three MemBlocks
        shapes |= {f"encoder.{first}.conv.weight": (64, 64 * frames, 1, 1)}
        shapes |= {f"encoder.{first + 1}.weight": (64, 64, 3, 3)}
        for index in range(first + 2, first + 5):
            shapes |= mem_block(f"encoder.{index}", 64)
    for first, width, frames, next_width in ((3, 256, 1, 128), (9, 128, 2, 64), (15, 64, 2, 64)):
        for index in range(first, first + 3):  # three MemBlocks, (upsampling,) grow, convolution
            shapes |= mem_block(f"decoder.{index}", width)
        shapes |= {f"decoder.{first + 4}.conv.weight": (width * frames, width, 1, 1)}
        shapes |= {f"decoder.{first + 5}.weight": (next_width, width, 3, 3)}
    return shapes


@pytest.mark.parametrize(
    ("config", "expected", "space_stride"),
    [(TAEW2_1, published_shapes(16, 3), 8), (TAEW2_2, published_shapes(48, 12), 16)],
    ids=["taew2_1", "taew2_2"],
)
def test_keys_and_shapes_are_those_of_the_published_weights(
    config: TinyVaeConfig, expected: dict[str, tuple[int, ...]], space_stride: int
) -> None:
    with torch.device("meta"):
        vae = TinyVae(config)
    assert {key: tuple(value.shape) for key, value in vae.state_dict().items()} == expected
    assert (config.stride.time, config.stride.space) == (4, space_stride)


def test_number_of_parameters_of_taew2_1() -> None:
    with torch.device("meta"):
        vae = TinyVae(TAEW2_1)
    assert sum(p.numel() for p in vae.decoder.parameters()) == 9_844_611  # the 9.84M of method.md: the decoder alone
    assert sum(p.numel() for p in vae.parameters()) == 11_315_539


def decode_frame_by_frame(vae: TinyVae, latents: Tensor) -> Tensor:
    """The published order of things, one frame at a time: double in space first, then grow in time.

    Latents (1 c f h w) -> raw frames (1 3 4f-3 h w). Slow, and written apart from the model on purpose.
    """
    memory: dict[int, Tensor] = {}

    def walk(x: Tensor, index: int) -> list[Tensor]:
        if index == len(vae.decoder):
            return [x]
        layer = vae.decoder[index]
        if isinstance(layer, MemBlock):
            previous = memory.get(index, torch.zeros_like(x))
            memory[index] = x.clone()
            return walk(layer(x, previous), index + 1)
        if isinstance(layer, Grow):
            x = x.repeat_interleave(layer.space_scale, 2).repeat_interleave(layer.space_scale, 3)
            parts = F.conv2d(x, layer.conv.weight).chunk(layer.time_stride, dim=1)
            return [frame for part in parts for frame in walk(part, index + 1)]
        return walk(layer(x.clone()), index + 1)  # a copy: some layers work in place

    frames = [frame for latent in latents.unbind(2) for frame in walk(latent, 0)]
    return torch.stack([F.pixel_shuffle(frame, vae.config.patch_size) for frame in frames[3:]], dim=2)


def assert_same(actual: Tensor, expected: Tensor) -> None:
    """Equal up to the order of float32 sums."""
    assert expected.std() > 1e-2, "values too small to tell anything"
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=2e-6)


@torch.no_grad()
def test_decode_equals_the_published_order_frame_by_frame() -> None:
    vae = build(TINY)
    latents = torch.randn(1, 4, 4, 3, 5)
    frames = vae.decode(latents, clamp=False)
    assert frames.shape == (1, 3, 13, 24, 40)
    assert_same(frames, decode_frame_by_frame(vae, latents))


@settings(deadline=None, max_examples=12)
@given(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=5), batch_size=st.integers(1, 2))
@torch.no_grad()
def test_any_chunking_equals_the_whole(sizes: list[int], batch_size: int) -> None:
    vae = build(TINY)
    latents = torch.randn(batch_size, 4, sum(sizes), 2, 3)
    memory = vae.new_memory()
    chunks = [vae.decode_stream(chunk, memory, clamp=False) for chunk in latents.split(sizes, dim=2)]
    whole = vae.decode(latents, clamp=False)
    assert [chunk.shape[2] for chunk in chunks] == [4 * sizes[0] - 3] + [4 * size for size in sizes[1:]]
    assert_same(torch.cat(chunks, dim=2), whole)


@torch.no_grad()
def test_the_memory_does_not_grow_nor_hold_on_to_chunks() -> None:
    vae = build(TINY)
    memory = vae.new_memory()
    vae.decode_stream(torch.randn(1, 4, 5, 2, 3), memory)
    held = {index: tensor.untyped_storage().nbytes() for index, tensor in memory.last_inputs.items()}
    assert len(held) == 9
    for index, tensor in memory.last_inputs.items():
        assert held[index] == tensor.numel() * tensor.element_size()
    vae.decode_stream(torch.randn(1, 4, 2, 2, 3), memory)
    assert {index: tensor.untyped_storage().nbytes() for index, tensor in memory.last_inputs.items()} == held
    assert memory.num_latent_frames == 7


@torch.no_grad()
def test_encoding_a_prefix_is_the_prefix_of_the_encoding() -> None:
    vae = build(TINY)
    frames = torch.rand(2, 3, 13, 16, 24)
    latents = vae.encode(frames)
    assert latents.shape == (2, 4, 4, 2, 3)
    for num_frames in (1, 5, 9):
        prefix = latents[:, :, : (num_frames + 3) // 4]
        assert_same(vae.encode(frames[:, :, :num_frames]), prefix)
    frames[:, :, 5] += 1  # frame 5 belongs to latent frame 2
    changed = (vae.encode(frames) - latents).abs().amax(dim=(0, 1, 3, 4)) > 1e-4
    assert changed.tolist() == [False, False, True, True]


@torch.no_grad()
def test_published_encoders_look_three_frames_ahead() -> None:
    ahead = TinyVae(TinyVaeConfig(encoder_width=8, decoder_widths=(8, 8, 8, 8), encoder_lookahead=True)).eval()
    plain = TinyVae(TinyVaeConfig(encoder_width=8, decoder_widths=(8, 8, 8, 8))).eval()
    plain.load_state_dict(ahead.state_dict())
    frames = torch.rand(1, 3, 9, 16, 16)
    torch.testing.assert_close(ahead.encode(frames[:, :, :1]), plain.encode(frames[:, :, :1]))
    # After a still start, the one looking ahead gives what the other gives of the same clip three frames on.
    frames[:, :, :3] = frames[:, :, 3:4]
    latents = ahead.encode(frames)
    later = torch.cat([frames[:, :, 3:], frames[:, :, -1:].expand(-1, -1, 3, -1, -1)], dim=2)
    torch.testing.assert_close(latents, plain.encode(later))
    frames[:, :, 7] += 1
    changed = (ahead.encode(frames) - latents).abs().amax(dim=(0, 1, 3, 4)) > 1e-6
    assert changed.tolist() == [False, True, True]


@torch.no_grad()
def test_clips_of_a_batch_do_not_mix() -> None:
    vae = build(TINY)
    latents = torch.randn(3, 4, 3, 2, 3)
    alone = torch.cat([vae.decode(clip, clamp=False) for clip in latents.split(1)])
    assert_same(vae.decode(latents, clamp=False), alone)
    frames = torch.rand(3, 3, 5, 16, 16)
    alone = torch.cat([vae.encode(clip) for clip in frames.split(1)])
    assert_same(vae.encode(frames), alone)


def test_every_parameter_gets_a_gradient_also_under_autocast_and_channels_last() -> None:
    vae = TinyVae(TINY).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    frames = torch.rand(2, 3, 9, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        output = vae.decode(vae.encode(frames), clamp=False)
    assert output.dtype == torch.bfloat16
    F.mse_loss(output.float(), frames).backward()
    for name, parameter in vae.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@torch.no_grad()
def test_clamp_is_the_last_step_only() -> None:
    vae = build(TINY)
    latents = 9 * torch.randn(1, 4, 2, 2, 2)
    raw = vae.decode(latents, clamp=False)
    assert raw.min() < 0 or raw.max() > 1
    torch.testing.assert_close(vae.decode(latents), raw.clamp(0, 1))


@torch.no_grad()
def test_real_latents_decode_to_finite_frames() -> None:
    if not REAL_LATENTS.exists():
        pytest.skip(f"needs {REAL_LATENTS}")
    from safetensors.torch import load_file

    (latents,) = load_file(REAL_LATENTS).values()
    latents = latents.float()
    assert latents.shape == (1, 16, 16, 40, 64)
    frames = build(replace(TINY, latent_channels=16)).decode(latents)
    assert frames.shape == (1, 3, 61, 320, 512)
    assert frames.isfinite().all() and frames.min() >= 0 and frames.max() <= 1
    assert TinyVae(TAEW2_1).eval().decode(latents[:, :, :3, :8, :8]).shape == (1, 3, 9, 64, 64)


@pytest.mark.parametrize("shape", [(3, 5, 16, 16), (1, 4, 5, 16, 16), (1, 3, 4, 16, 16), (1, 3, 0, 16, 16)])
def test_encode_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="frames"):
        TinyVae(TINY).encode(torch.zeros(shape))


@pytest.mark.parametrize("size", [(12, 16), (16, 20), (0, 16)])
def test_encode_refuses_sides_that_are_no_whole_cells(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 8 px"):
        TinyVae(TINY).encode(torch.zeros(1, 3, 1, *size))


@pytest.mark.parametrize("shape", [(4, 2, 2, 2), (1, 16, 2, 2, 2), (1, 4, 0, 2, 2)])
def test_decode_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"latents must be \(b 4 f h w\)"):
        TinyVae(TINY).decode(torch.zeros(shape))


def test_config_refuses_sides_that_disagree() -> None:
    with pytest.raises(ValueError, match="space"):
        TinyVaeConfig(decoder_space_upscale=(True, True, False))
    with pytest.raises(ValueError, match="time"):
        TinyVaeConfig(encoder_time_downscale=(True, True, True))
    with pytest.raises(ValueError, match="decoder_widths needs 4"):
        TinyVaeConfig(decoder_widths=(8, 8, 8))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_long_clip_is_encoded_in_pieces(ahead: bool, batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much at once as PIECE_PIXELS says, and the same latents."""
    vae = build(replace(TINY, encoder_lookahead=ahead))
    clip = torch.rand(batch_size, 3, 29, 16, 24, generator=torch.Generator().manual_seed(7))
    whole = vae.encode(clip)
    given: list[int] = []
    vae.encoder[0].register_forward_pre_hook(lambda _, inputs: given.append(len(inputs[0])))
    assert torch.equal(vae.encode(clip), whole) and given == [32 * batch_size]  # small ones go through as one
    for latent_frames, pieces in ((0.5, [4] * 8), (1, [4] * 8), (3, [12, 12, 8])):
        given.clear()
        monkeypatch.setattr(tiny_vae, "PIECE_PIXELS", int(latent_frames * 4 * batch_size * 16 * 24))
        torch.testing.assert_close(vae.encode(clip), whole, rtol=0, atol=1e-5)
        assert given == [batch_size * piece for piece in pieces]


def test_a_grey_clip_at_full_size_takes_little_memory() -> None:
    """81 frames of 832 x 480, of which the first layer alone makes 8 GB."""
    vae = TinyVae(TAEW2_1).to("meta").requires_grad_(False)
    with HeldMemory() as held:
        clip = torch.empty(1, 3, 81, 480, 832, device="meta")
        given = held.now
        assert vae.encode(clip).shape == (1, 16, 21, 60, 104)
    assert 0 < held.peak - given < 2 * 2**30
