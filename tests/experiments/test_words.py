"""What the bundled model for pictures makes of words, against the truth that the world's own renderer draws."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch

from experiments.photo.judge import LAST, NUM_FRAMES, SIZE_PX, grid_tracks, maker, truth_under
from motionstream_core.checkpoints import LoadedModel, load_model, load_tiny_vae
from motionstream_core.demo.weights import PHOTO_STUDENT, PHOTO_TINY_VAE
from motionstream_core.evaluation.metrics import psnr_db
from motionstream_core.evaluation.world.report import Video, frames_tensor, to_video
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.streaming.conditions import StreamConditions, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.live_tracks import LiveTracks
from motionstream_core.streaming.session import StreamSession
from motionstream_core.streaming.stream import StreamSettings
from motionstream_core.world.leaves import leaves_picture
from motionstream_core.world.weather import LIGHTS


@lru_cache
def bundled() -> tuple[LoadedModel, TinyVae]:
    loaded = load_model(PHOTO_STUDENT)
    loaded.model.float()
    return loaded, load_tiny_vae(PHOTO_TINY_VAE)


@lru_cache
def picture() -> Video:
    """A picture (1 h w 3) that no stage drew."""
    return (leaves_picture(np.random.default_rng(77_001), SIZE_PX, SIZE_PX)[None] * 255 + 0.5).astype(np.uint8)


def still() -> Video:
    return picture().repeat(NUM_FRAMES, 0)


@torch.inference_mode()
def made(prompt: str) -> Video:
    """The stream of seed 0 of the still picture."""
    return maker(*bundled())(still(), grid_tracks(NUM_FRAMES, 2), prompt)


@pytest.mark.parametrize("prompt", ["", "still"])
def test_without_words_a_still_picture_is_itself(prompt: str) -> None:
    assert np.array_equal(made(prompt), still())


@pytest.mark.parametrize("word", LIGHTS)
def test_light_comes_as_the_world_draws_it(word: str) -> None:
    truth, shown = truth_under(still(), word), made(word)
    assert psnr_db(still()[LAST], truth[LAST]) < 20
    assert psnr_db(shown[LAST], truth[LAST]) > 28
    assert psnr_db(shown[13:25], truth[13:25]) > 26


@pytest.mark.parametrize(("word", "alike", "strength"), [("snow", 0.75, 0.5), ("rain", 0.55, 0.35)])
def test_what_falls_falls_where_its_noise_says_before_a_sharp_picture(word: str, alike: float, strength: float) -> None:
    truth, shown, other = (
        frames[LAST].astype(np.float64) - still()[LAST]
        for frames in (truth_under(still(), word), made(word), np.roll(truth_under(still(), word), 32, 2))
    )
    both = (truth * shown).sum()
    assert both > alike * np.sqrt((truth**2).sum() * (shown**2).sum())
    assert both > strength * (truth**2).sum()
    assert (other * shown).sum() < 0.3 * np.sqrt((other**2).sum() * (shown**2).sum())
    assert np.abs(shown[np.abs(truth) < 2]).mean() < 4


@torch.inference_mode()
def test_night_goes_when_it_is_asked_for_no_more() -> None:
    loaded, vae = bundled()

    def conditions(tracks: LiveTracks) -> StreamConditions:
        context = encode_prompt(loaded.model, loaded.spec, "night falling")
        return StreamConditions(loaded.model, loaded.spec, context, tracks, image=frames_tensor(picture()), vae=vae)

    session = StreamSession(
        loaded,
        TinyStreamingDecoder(vae),
        conditions,
        lambda prompt: encode_prompt(loaded.model, loaded.spec, prompt),
        frame_size=(SIZE_PX, SIZE_PX),
        settings=StreamSettings(seed=3),
    )
    shown = []
    for chunk in session.run(31):
        shown.append(to_video(chunk.frames))
        if chunk.chunk.index == 4:
            session.set_prompt("")
    video = np.concatenate(shown)
    day, night = still()[:12], truth_under(still(), "night falling")[-12:]
    assert psnr_db(video[37:49], night) > 28
    assert psnr_db(video[-12:], day) > 28
