"""Drawings change the pixels they should, leave the others alone to the last bit, and tell old from new."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from motionstream_core.tracks import Tracks, contact_sheet, draw_tracks, point_grid
from motionstream_core.tracks.brush import id_colors

HEIGHT, WIDTH = 80, 120


def noise(num_frames: int, dtype: torch.dtype = torch.float32) -> Tensor:
    frames = torch.rand(num_frames, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(1))
    return (frames * 255).byte() if dtype == torch.uint8 else frames.to(dtype)


def at(*points: tuple[float, float], visible: bool = True) -> Tracks:
    """One track that is at `points`, one per frame."""
    values = torch.tensor(points, dtype=torch.float32)[:, None]
    return Tracks(values, torch.full((len(points), 1), visible), HEIGHT, WIDTH)


def distance_px(x: float, y: float) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    return ((columns - x) ** 2 + (rows - y) ** 2).sqrt()


def changed(before: Tensor, after: Tensor) -> Tensor:
    return (before != after).any(dim=-1)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.float64])
def test_a_dot_lies_on_its_point_and_nothing_far_away(dtype: torch.dtype) -> None:
    frames = noise(1, dtype)
    drawn = draw_tracks(frames, at((40.5, 30.5)), radius=4)
    assert drawn.dtype == dtype
    assert drawn.shape == frames.shape
    distance = distance_px(40.5, 30.5)
    touched = changed(frames, drawn)[0]
    assert touched[distance < 3.5].all()
    assert not touched[distance > 5].any()
    unit = drawn[0].double() / (255 if dtype == torch.uint8 else 1)
    wanted = torch.from_numpy(id_colors(np.array([int(at((0, 0)).ids)]))[0] / 255.0)
    assert torch.allclose(unit[30, 40], wanted, atol=0.003)
    rim = (distance - 3.6).abs() < 0.3
    assert unit[rim].mean() < 0.35
    assert torch.equal(frames, noise(1, dtype))  # the input is left alone


def test_dots_are_anti_aliased_and_follow_fractions_of_a_pixel() -> None:
    frames = torch.ones(1, HEIGHT, WIDTH, 3)
    here = draw_tracks(frames, at((40.5, 30.5)), radius=4)[0, 30].mean(dim=-1)
    there = draw_tracks(frames, at((40.75, 30.5)), radius=4)[0, 30].mean(dim=-1)
    edge = here[36].item()
    assert 0.1 < edge < 0.95
    assert torch.allclose(here[36:45], here[36:45].flip(0), atol=0.02)
    assert there[36] > edge + 0.1


def test_eight_bits_are_the_float_drawing_rounded() -> None:
    frames = noise(3, torch.uint8)
    tracks = at((20.3, 30.1), (40.2, 35.7), (52.9, 51.4))
    exact = draw_tracks(frames.double() / 255, tracks) * 255
    assert (draw_tracks(frames, tracks).double() - exact).abs().max() < 0.501


def test_where_tails_cross_the_fresher_one_wins() -> None:
    frames = torch.full((12, HEIGHT, WIDTH, 3), 0.5)
    fresh = at(*[(60.5, 40.5 + 16 * (t - 10.5)) for t in range(12)])
    stale = at(*[(60.5 + 10 * (t - 1.5), 40.5) for t in range(12)])
    stale = Tracks(stale.points, stale.visibility, HEIGHT, WIDTH, fresh.ids + 1)
    alone = draw_tracks(frames, fresh, radius=3)[11, 40, 60]
    assert not torch.allclose(draw_tracks(frames, stale, radius=3)[11, 40, 60], torch.tensor(0.5), atol=0.02)
    for order in ([fresh, stale], [stale, fresh]):
        crossed = draw_tracks(frames, Tracks.concatenate(order), radius=3)
        assert torch.equal(crossed[11, 40, 60], alone)


def test_tiles_leave_no_seam() -> None:
    frames = torch.full((1, 200, 240, 3), 0.5)
    drawn = []
    for shift in (0, 51):  # the second drawing lies across the tile corner at (96, 96)
        tracks = Tracks(
            torch.tensor([[[45.0, 45.0], [30.5, 41.5]]]) + shift, torch.ones(1, 2, dtype=torch.bool), 200, 240
        )
        drawn.append(draw_tracks(frames, tracks, radius=7)[0])
    assert torch.equal(drawn[0].roll((51, 51), dims=(0, 1)), drawn[1])
    assert changed(frames[0], drawn[1])[94:98, 94:98].all()


def test_invisible_points_and_steps_to_them_are_not_drawn() -> None:
    frames = noise(2)
    assert torch.equal(draw_tracks(frames, at((40, 30), (60, 30), visible=False)), frames)
    tracks = at((20, 30), (100, 30))
    tracks.visibility[0] = False
    drawn = draw_tracks(frames, tracks, radius=4)
    assert torch.equal(drawn[0], frames[0])
    assert changed(frames, drawn)[1].any()
    assert not changed(frames, drawn)[1, :, :90].any()


def test_points_off_the_frame_and_absurd_ones_are_harmless() -> None:
    frames = noise(2)
    far = at((-1e30, 1e30), (3e38, -3e38))
    assert torch.equal(draw_tracks(frames, far)[0], frames[0])
    half = draw_tracks(frames, at((0.0, 30.0), (0.0, 30.0)), radius=4)
    assert changed(frames, half)[0, 28:32, :2].all()
    unseen = Tracks(torch.full((2, 1, 2), float("inf")), torch.zeros(2, 1, dtype=torch.bool), HEIGHT, WIDTH)
    assert torch.equal(draw_tracks(frames, unseen), frames)


def test_the_tail_lies_behind_fades_and_ends() -> None:
    frames = torch.zeros(12, HEIGHT, WIDTH, 3)
    tracks = at(*[(10.0 + 8 * t, 40.0) for t in range(12)])
    last = draw_tracks(frames, tracks, tail_frames=6, radius=3)[-1]
    line = last[38:42].amax(dim=(0, 2))
    head = 10 + 8 * 11
    assert line[head + 5 :].max() == 0
    assert line[: head - 6 * 8 - 2].max() == 0
    steps = [line[head - 8 * age - 4].item() for age in range(6)]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > 0.6 > 0.35 > steps[5] > 0
    tailless = draw_tracks(frames, tracks, tail_frames=0, radius=3)
    assert changed(frames, tailless)[-1].sum() < 50
    assert changed(frames, tailless)[-1, 38:42, head - 2 : head + 2].all()


def test_tracks_of_another_size_are_scaled() -> None:
    frames = noise(2)
    tracks = at((40.5, 30.5), (50, 40))
    assert torch.equal(draw_tracks(frames, tracks.rescaled(400, 960)), draw_tracks(frames, tracks))


def test_a_colour_belongs_to_its_id() -> None:
    tracks = point_grid(HEIGHT, WIDTH, rows=2, columns=3)
    frames = torch.zeros(1, HEIGHT, WIDTH, 3)
    alone = Tracks(tracks.points[:, 4:5], tracks.visibility[:, 4:5], HEIGHT, WIDTH, tracks.ids[4:5])
    together = draw_tracks(frames, tracks, radius=4)[0]
    assert torch.equal(draw_tracks(frames, alone, radius=4)[0, 60, 60], together[60, 60])
    colors = [together[20 + 40 * (n // 3), 20 + 40 * (n % 3)] for n in range(6)]
    gaps = [(a - b).abs().sum() for i, a in enumerate(colors) for b in colors[:i]]
    assert min(gaps) > 0.15


def test_the_default_radius_shrinks_with_crowding() -> None:
    frames = torch.zeros(1, HEIGHT, WIDTH, 3)
    few = changed(frames, draw_tracks(frames, point_grid(HEIGHT, WIDTH, 1, 1)))
    many = changed(frames, draw_tracks(frames, point_grid(HEIGHT, WIDTH, 10, 15)))
    assert few.sum() > 1.5 * many.sum() / 150
    assert many.float().mean() < 0.6


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (torch.zeros(2, HEIGHT, WIDTH, 4), {}, "frames is torch.float32"),
        (torch.zeros(2, HEIGHT, WIDTH, 3, dtype=torch.int32), {}, "frames is torch.int32"),
        (torch.zeros(HEIGHT, WIDTH, 3), {}, "must be .t h w 3."),
        (torch.zeros(3, HEIGHT, WIDTH, 3), {}, "3 frames but tracks for 2; resample"),
        (torch.zeros(2, HEIGHT, WIDTH, 3), {"radius": 0}, "radius 0"),
        (torch.zeros(2, HEIGHT, WIDTH, 3), {"tail_frames": -1}, "tail_frames is -1"),
    ],
)
def test_other_frames_and_options_are_refused(frames: Tensor, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_tracks(frames, at((1, 1), (2, 2)), **options)  # type: ignore[arg-type]


def cells_of(sheet: Tensor, columns: int, rows: int, width: int, height: int) -> list[Tensor]:
    gap = (sheet.shape[1] - columns * width) // (columns + 1)
    assert sheet.shape == (rows * height + (rows + 1) * gap, columns * width + (columns + 1) * gap, 3)
    return [
        sheet[gap + r * (height + gap) :, gap + c * (width + gap) :][:height, :width]
        for r in range(rows)
        for c in range(columns)
    ]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_contact_sheet_shows_evenly_spaced_frames(dtype: torch.dtype) -> None:
    values = torch.arange(11) * 20
    frames = values.to(torch.uint8)[:, None, None, None].expand(-1, HEIGHT, WIDTH, 3)
    frames = frames if dtype == torch.uint8 else frames.float() / 255
    sheet = contact_sheet(frames, columns=2, num_cells=5, cell_width=60)
    assert sheet.dtype == torch.uint8
    cells = cells_of(sheet, columns=2, rows=3, width=60, height=40)
    assert [int(cell[20, 50, 0]) for cell in cells[:5]] == [0, 40, 100, 160, 200]  # frames 0, 2, 5, 8, 10
    assert (cells[5] == cells[5][0, 0]).all()
    labels = [cell[:15, :20] for cell in cells[:5]]
    assert all(label.amax() > label[-1, -1].amax() + 40 for label in labels)
    assert not torch.equal(
        labels[3], contact_sheet(frames[8:9].repeat(11, 1, 1, 1), columns=1, num_cells=1, cell_width=60)
    )


def test_contact_sheet_draws_travelled_thick_and_ahead_thin() -> None:
    frames = torch.zeros(9, HEIGHT, WIDTH, 3)
    tracks = at(*[(20.0 + 10 * t, 40.0) for t in range(9)])
    sheet = contact_sheet(frames, tracks, columns=3, num_cells=3, cell_width=WIDTH)
    cells = cells_of(sheet, columns=3, rows=1, width=WIDTH, height=HEIGHT)

    def ink(cell: Tensor, x: int) -> int:
        return int(cell[30:50, x].int().sum())

    behind, ahead = 35, 85
    assert ink(cells[1], behind) > 1.7 * ink(cells[1], ahead) > 0
    assert ink(cells[0], behind) == ink(cells[1], ahead)
    assert ink(cells[2], ahead) == ink(cells[1], behind)
    dots = [max(range(WIDTH), key=lambda x, cell=cell: int((cell[30:50, x].amax(dim=-1) > 60).sum())) for cell in cells]
    assert [abs(dot - x) <= 2 for dot, x in zip(dots, (20, 60, 100), strict=True)] == [True] * 3


def test_contact_sheet_of_a_short_clip_shows_each_frame_once() -> None:
    frames = noise(2)
    sheet = contact_sheet(frames, columns=4, num_cells=8, cell_width=WIDTH)
    cells = cells_of(sheet, columns=2, rows=1, width=WIDTH, height=HEIGHT)
    assert torch.equal(cells[1][40:, 40:], (frames[1, 40:, 40:] * 255).round().byte())
    with pytest.raises(ValueError, match="num_cells 0"):
        contact_sheet(frames, num_cells=0)
    with pytest.raises(ValueError, match="2 frames but tracks for 3"):
        contact_sheet(frames, Tracks.empty(3, HEIGHT, WIDTH))
