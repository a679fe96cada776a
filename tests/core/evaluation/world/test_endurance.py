"""Long streams: a judge that sees drift when there is some, and none when there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motionstream_core.checkpoints import load_model, load_tiny_vae
from motionstream_core.demo.weights import STUDENT, TINY_VAE
from motionstream_core.evaluation.world.endurance import PERIOD_FRAMES, Judge, endure, last_chunk, looping_case


def test_the_true_loop_shows_no_drift() -> None:
    loop = looping_case()
    judge = Judge(loop, 16)
    frames = loop.clip.frames[loop.frame(np.arange(12 * 16))]
    seconds = [judge(number, frames[number * 16 : (number + 1) * 16]) for number in range(12)]
    assert all(second.background_psnr_db > 80 and second.epe_px < 0.6 and second.lost == 0 for second in seconds)


def test_drift_and_disobedience_are_seen() -> None:
    loop = looping_case()
    judge = Judge(loop, 16)
    first = loop.clip.frames[:16]
    judge(0, first)
    darker = judge(PERIOD_FRAMES // 16, (first * 0.8).astype(np.uint8))
    assert darker.background_psnr_db < 25 and darker.epe_px < 0.6
    late = judge(PERIOD_FRAMES // 16, np.repeat(first[:1], 16, 0))
    assert late.epe_px > 3 and late.background_psnr_db > 80
    gone = judge(1, np.full_like(first, 128))
    assert gone.lost == 1


def test_the_background_is_what_objects_never_cover() -> None:
    loop = looping_case()
    free = loop.background()
    assert 0.3 < free.mean() < 0.9
    assert not np.ptp(loop.clip.frames[:, free].astype(int), axis=0).any()


@pytest.mark.thorough
def test_a_stream_is_judged_second_by_second() -> None:
    student, vae = load_model(STUDENT, torch.float32), load_tiny_vae(TINY_VAE)
    seconds, kept = endure(student, vae, looping_case(), 2, keep_seconds=(1,))
    assert [second.second for second in seconds] == [0, 1]
    assert kept[1].shape == (16, 128, 128, 3) and kept.keys() == {1}
    assert seconds[1].epe_px < 8 and seconds[1].background_psnr_db > 30
    with pytest.raises(ValueError, match="num_seconds"):
        endure(student, vae, looping_case(), 0)


def test_chunks_fill_the_asked_length() -> None:
    for num_frames in (1, 12, 13, 160, 9600):
        index = last_chunk(num_frames, 4, 3)
        assert 1 + 12 * index >= num_frames
