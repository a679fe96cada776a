"""Streaming decoders: pushes and flush, joined, equal the whole decode."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionstream_core.models.vae.tiny_vae import TinyVae, TinyVaeConfig
from motionstream_core.models.vae.wan_vae import WanVae
from motionstream_core.streaming.decode import FullStreamingDecoder, StreamingDecoder, TinyStreamingDecoder

Decoder = tuple[StreamingDecoder, Callable[[Tensor], Tensor]]


def tiny() -> Decoder:
    torch.manual_seed(0)
    config = TinyVaeConfig(latent_channels=4, decoder_widths=(12, 8, 8, 6), encoder_width=4)
    vae = TinyVae(config).eval()
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter *= 2
    return TinyStreamingDecoder(vae), vae.decode


def full() -> Decoder:
    autoencoder = pytest.importorskip("diffusers.models.autoencoders.autoencoder_kl_wan", reason="needs diffusers")
    torch.manual_seed(0)
    vae = WanVae(
        autoencoder.AutoencoderKLWan(
            base_dim=4, z_dim=4, num_res_blocks=1, latents_mean=[0.2, -0.4, 0.1, 0.9], latents_std=[2.0, 1.5, 3.0, 0.7]
        ).eval()
    )
    return FullStreamingDecoder(vae), vae.decode


MAKERS = pytest.mark.parametrize("make", [tiny, full], ids=["tiny", "full"])


@torch.no_grad()
def as_video(frames: Tensor) -> Tensor:
    """(1 c t h w) -> (t h w c)"""
    return frames[0].permute(1, 2, 3, 0)


@MAKERS
@settings(deadline=None, max_examples=12)
@given(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_any_chunking_equals_the_whole(make: Callable[[], Decoder], sizes: list[int]) -> None:
    decoder, decode = make()
    latents = torch.randn(1, 4, sum(sizes), 2, 3)
    pushed = [decoder.push(chunk) for chunk in latents.split(sizes, dim=2)]
    assert [len(frames) for frames in pushed] == [4 * sizes[0] - 3] + [4 * size for size in sizes[1:]]
    stream = torch.cat(pushed)
    assert stream.shape == (4 * sum(sizes) - 3, 16, 24, 3)
    assert not stream.requires_grad
    torch.testing.assert_close(stream, as_video(decode(latents)), rtol=0, atol=1e-5)


@MAKERS
def test_frames_are_float32_in_0_1_and_contiguous(make: Callable[[], Decoder]) -> None:
    frames = make()[0].push(20 * torch.randn(1, 4, 2, 2, 2))
    assert frames.dtype == torch.float32 and frames.is_contiguous()
    assert frames.min() >= 0 and frames.max() <= 1


@MAKERS
def test_reset_starts_a_new_stream_of_any_size(make: Callable[[], Decoder]) -> None:
    decoder, _ = make()
    latents = torch.randn(1, 4, 3, 2, 3)
    first = decoder.push(latents)
    decoder.reset()
    decoder.push(torch.randn(1, 4, 2, 4, 4))
    decoder.reset()
    torch.testing.assert_close(decoder.push(latents), first)


def test_weights_in_half_precision_take_float32_latents_and_give_float32_frames() -> None:
    vae = TinyVae(TinyVaeConfig(latent_channels=4, decoder_widths=(8, 8, 8, 8), encoder_width=4)).to(torch.bfloat16)
    assert TinyStreamingDecoder(vae).push(torch.randn(1, 4, 2, 2, 2)).dtype == torch.float32


@MAKERS
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 2, 2, 2), r"latents must be \(b 4 f h w\)"),
        ((1, 16, 2, 2, 2), r"latents must be \(b 4 f h w\)"),
        ((1, 4, 0, 2, 2), "f >= 1"),
        ((2, 4, 1, 2, 2), "batch size 2"),
        ((1, 4, 1, 3, 2), r"began with latents of \(1, 2, 2\)"),
    ],
    ids=["ndim", "channels", "empty", "batch", "size"],
)
def test_a_refused_push_leaves_the_stream_alone(
    make: Callable[[], Decoder], shape: tuple[int, ...], message: str
) -> None:
    decoder, decode = make()
    latents = torch.randn(1, 4, 2, 2, 2)
    first = decoder.push(latents[:, :, :1])
    with pytest.raises(ValueError, match=message):
        decoder.push(torch.zeros(shape))
    stream = torch.cat([first, decoder.push(latents[:, :, 1:])])
    torch.testing.assert_close(stream, as_video(decode(latents)), rtol=0, atol=1e-5)


@MAKERS
def test_two_clips_side_by_side_are_as_each_alone(make: Callable[[], Decoder]) -> None:
    decoder, decode = make()
    ours, others = torch.randn(2, 1, 4, 4, 2, 3).unbind()
    pushed = [decoder.push_both(ours[:, :, :1], others[:, :, :1])]
    kept = decoder.state()
    decoder.push_both(others[:, :, 1:], ours[:, :, 1:])
    decoder.restore(kept)
    pushed.append(decoder.push_both(ours[:, :, 1:], others[:, :, 1:]))
    for side, latents in enumerate((ours, others)):
        stream = torch.cat([both[side] for both in pushed])
        torch.testing.assert_close(stream, as_video(decode(latents)), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match=r"began with latents of \(2, 2, 3\) \(clips, h, w\), got \(1, 2, 3\)"):
        decoder.push(ours)
