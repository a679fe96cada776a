"""The study's clips, and tracks as pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.clips import StudyClips, draw_clip, prepare_study, told_tracks
from experiments.preset import LATENT_FRAMES
from experiments.rgb_tracks import RgbTracks, draw_on_black
from experiments.runs import Study
from experiments.trainings import WHOLE
from motionstream_core.models.track_head import TrackHeadConfig


def test_two_seeds_show_one_scene_in_two_motions() -> None:
    first, second, other = draw_clip(4, 9), draw_clip(5, 9), draw_clip(6, 9)
    assert np.array_equal(first.frames[0], second.frames[0]) and first.caption == second.caption
    assert not np.array_equal(first.centers[-1], second.centers[-1])
    assert not np.array_equal(first.frames[0], other.frames[0])


def test_points_are_drawn_where_they_are_and_only_while_visible() -> None:
    points = torch.tensor([[[10.0, 20.0], [50.0, 40.0]], [[14.0, 20.0], [50.0, 40.0]]])
    visibility = torch.tensor([[True, False], [True, False]])
    frames = draw_on_black(points, visibility, torch.tensor([7, 8]), (64, 64))
    light = frames.amax(0)
    assert light[0, 20, 10] > 0.4 and light[1, 20, 14] > 0.4
    assert light[:, 35:45, 45:55].max() == 0  # the hidden point
    rows, columns = torch.nonzero(light[1] > 0.1, as_tuple=True)
    assert rows.min() >= 17 and rows.max() <= 22 and columns.min() >= 7 and columns.max() <= 17


def test_two_tracks_have_two_colours() -> None:
    points = torch.tensor([[[16.0, 16.0], [48.0, 48.0]]])
    frames = draw_on_black(points, torch.ones(1, 2, dtype=torch.bool), torch.tensor([1, 50_000]), (64, 64))
    assert (frames[:, 0, 16, 16] - frames[:, 0, 48, 48]).abs().max() > 0.2


def test_pictures_stand_beside_the_same_clips(small_study: Study) -> None:
    """With pictures a batch brings just what the model's own encoder makes of the tracks at sampling time."""
    folder = small_study.folder / "world"
    prepare_study(folder, small_study.vae, 4)
    told = StudyClips(folder).batch(3, WHOLE, np.random.default_rng(1))
    drawn = StudyClips(folder, pictures=True).batch(3, WHOLE, np.random.default_rng(1))
    assert told.track is None and drawn.track is not None
    assert torch.equal(told.latents, drawn.latents) and torch.equal(told.points, drawn.points)
    assert told.captions == drawn.captions and drawn.track.shape == drawn.latents.shape
    assert drawn.latents.shape[2] == LATENT_FRAMES
    tensors = StudyClips(folder)._shards[0]
    encoder = RgbTracks(TrackHeadConfig(), small_study.vae)
    for index in range(4):
        clip = draw_clip(index)
        chosen, ids = told_tracks(clip.owner, index, 0)
        points, visible = torch.from_numpy(clip.points[:49, chosen]), torch.from_numpy(clip.visibility[:49, chosen])
        latents = encoder.encode(points[None], visible[None], torch.from_numpy(ids), (64, 64), at_start=True)[0]
        stored = tensors["rgb"][index, 0].float()
        assert (latents - stored).abs().max() < 0.05 * stored.abs().max()  # stored from bf16, in half precision


def test_pictures_have_no_weights_and_know_whole_clips_only(small_study: Study) -> None:
    encoder = RgbTracks(TrackHeadConfig(), small_study.vae)
    assert list(encoder.parameters()) == []
    points, visible = torch.zeros(1, 4, 1, 2), torch.ones(1, 4, 1, dtype=torch.bool)
    with pytest.raises(ValueError, match="whole clips only"):
        encoder.encode(points, visible, torch.tensor([1]), (64, 64), at_start=False)
