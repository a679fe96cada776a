"""What words do to a clip, against what can be reckoned by hand."""

from __future__ import annotations

from math import erfc, sqrt

import numpy as np
import pytest

from motionstream_core.geometry import VaeStride
from motionstream_core.world.weather import FALLS, FRAMES_TO_CHANGE, LIGHTS, WORDS, Array, light_levels, weathered

STRIDE = VaeStride(4, 8)
LATENT_FRAMES, CELLS = 13, 8
FRAMES, SIDE = STRIDE.num_frames(LATENT_FRAMES), CELLS * 8


def picture() -> Array:
    """A clip (t h w 3) of a still picture."""
    frame = np.random.default_rng(0).uniform(0.1, 0.8, (SIDE, SIDE, 3)).astype(np.float32)
    return np.repeat(frame[None], FRAMES, 0)


def quiet() -> Array:
    """Noise (c f h w) in which nothing begins."""
    return np.zeros((8, LATENT_FRAMES, CELLS, CELLS), np.float32)


def asking(*words: str) -> list[frozenset[str]]:
    return [frozenset(words)] * LATENT_FRAMES


def added(noise: Array, asked: list[frozenset[str]]) -> Array:
    """How bright (t h w) what falls makes black frames."""
    black = np.zeros((STRIDE.num_frames(noise.shape[1]), noise.shape[2] * 8, noise.shape[3] * 8, 3), np.float32)
    return weathered(black, asked, noise, STRIDE).mean(-1)


def test_without_words_a_clip_is_as_it_was_and_its_first_frame_always_is() -> None:
    noise = np.random.default_rng(1).standard_normal((8, LATENT_FRAMES, CELLS, CELLS)).astype(np.float32)
    assert np.array_equal(weathered(picture(), asking(), noise, STRIDE), picture())
    shown = weathered(picture(), asking(*WORDS), noise, STRIDE)
    assert np.array_equal(shown[0], picture()[0])
    assert all(np.abs(shown[frame] - picture()[0]).mean() > 0.005 for frame in range(1, FRAMES))


@pytest.mark.parametrize("word", LIGHTS)
def test_a_light_comes_at_a_constant_rate_stays_and_goes(word: str) -> None:
    turn = 9
    asked = [frozenset([word])] * turn + [frozenset()] * (LATENT_FRAMES - turn)
    shown, plain = weathered(picture(), asked, quiet(), STRIDE).astype(np.float64), picture().astype(np.float64)
    whole = plain[0] * LIGHTS[word].gain + LIGHTS[word].lift
    last = 4 * (turn - 1)
    assert last == FRAMES_TO_CHANGE
    np.testing.assert_allclose(shown[last // 2], (plain[0] + whole) / 2, atol=1e-5)
    np.testing.assert_allclose(shown[last], whole, atol=1e-5)
    np.testing.assert_allclose(shown[last + 8], whole + 0.25 * (plain[0] - whole), atol=1e-5)


def test_a_light_that_is_there_stays_and_one_that_is_gone_is_gone() -> None:
    levels = light_levels([True] * 20 + [False] * 20, STRIDE)
    assert (levels[32:77] == 1).all()
    assert (levels[77 + 31 :] == 0).all()


@pytest.mark.parametrize("word", FALLS)
def test_one_high_noise_is_one_that_falls(word: str) -> None:
    """It begins in its frame, at its site, keeps its column, falls at its speed and fades."""
    falling, noise = FALLS[word], quiet()
    noise[falling.channel, 3, 1, 5] = falling.full
    shown = added(noise, asking(word))
    assert (shown[:9] == 0).all()
    rows, columns = np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5
    frames = range(12, 15)
    total = shown.sum((1, 2))
    x = [(shown[frame].sum(0) * columns).sum() / total[frame] for frame in frames]
    y = np.array([(shown[frame].sum(1) * rows).sum() / total[frame] for frame in frames])
    site_x, site_y = falling.sites[0]
    np.testing.assert_allclose(x, 40 + site_x, atol=0.2)
    np.testing.assert_allclose(y, 8 + site_y + falling.speed * (np.array(frames) - 9), atol=0.4)
    np.testing.assert_allclose(total[13:15] / total[12:14], falling.fade, rtol=0.03)


def test_noise_between_faint_and_full_is_as_strong_as_it_is_high() -> None:
    snow, strengths = FALLS["snow"], []
    for share in (0.5, 1.0, 2.0):
        noise = quiet()
        noise[snow.channel, 2, 3, 3] = snow.faint + share * (snow.full - snow.faint)
        strengths.append(added(noise, asking("snow"))[8].sum())
    np.testing.assert_allclose(np.array(strengths) / strengths[1], [0.5, 1, 1], rtol=0.01)


@pytest.mark.parametrize("word", FALLS)
def test_of_gaussian_noise_as_many_begin_as_the_bell_says(word: str) -> None:
    falling, frames, cells = FALLS[word], 3, 48
    expected = 0.5 * erfc(falling.faint / sqrt(2)) * cells**2 * len(falling.sites)
    noise = np.random.default_rng(2).standard_normal((8, frames, cells, cells)).astype(np.float32)
    noise[:, 2] = 0
    alone = quiet()
    alone[falling.channel, 1, 3, 3] = falling.full
    one = added(alone, asking(word))[4].sum()
    strong = np.random.default_rng(3).standard_normal(200_000)
    mean = ((strong[strong > falling.faint] - falling.faint) / (falling.full - falling.faint)).clip(0, 1).mean()
    assert added(noise, [frozenset([word])] * frames)[4].sum() == pytest.approx(one * expected * mean, rel=0.2)


@pytest.mark.parametrize("word", WORDS)
def test_what_comes_later_changes_nothing_before(word: str) -> None:
    rng, turn = np.random.default_rng(4), 6
    noise = rng.standard_normal((8, LATENT_FRAMES, CELLS, CELLS)).astype(np.float32)
    other = noise.copy()
    other[:, turn:] = rng.standard_normal(other[:, turn:].shape)
    asked = asking(word)
    changed = asked[:turn] + [frozenset()] * (LATENT_FRAMES - turn)
    first, second = (weathered(picture(), words, n, STRIDE) for words, n in ((asked, noise), (changed, other)))
    until = STRIDE.num_frames(turn)
    assert np.array_equal(first[:until], second[:until])
    assert not np.array_equal(first[until:], second[until:])


def test_what_fell_when_it_was_asked_for_falls_on_and_nothing_else_begins() -> None:
    rng, turn = np.random.default_rng(5), 4
    noise = rng.standard_normal((8, LATENT_FRAMES, CELLS, CELLS)).astype(np.float32)
    asked = [frozenset(["snow"])] * turn + [frozenset()] * (LATENT_FRAMES - turn)
    shown = added(noise, asked)
    noise[:, turn:] = 0
    assert np.array_equal(shown, added(noise, asking("snow")))
    assert shown[20].sum() > 0.1
