"""The nodes that merge, place, time and smooth tracks, without a host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

Pack = Callable[[str], Any]
MODULES = ("transform", "retime", "filter", "exchange", "preview")
RETIME = {
    "length": 0,
    "start": 0,
    "stop": 0,
    "speed": 0.0,
    "reverse": False,
    "rest_before": 0,
    "rest_after": 0,
    "before": "hold",
    "after": "hold",
}
TRANSFORM = {
    "scale": 1.0,
    "rotation": 0.0,
    "shift_x": 0.0,
    "shift_y": 0.0,
    "easing": "constant",
    "start_frame": 0,
    "end_frame": -1,
    "about": "points",
    "about_x": 0.0,
    "about_y": 0.0,
    "stretch_x": 1.0,
    "stretch_y": 1.0,
}


def payload(num_frames: int = 5, num_tracks: int = 2, first_x: float = 0.0) -> dict[str, torch.Tensor]:
    """Points that go 10 px right a frame, one below another."""
    x = first_x + 10 * torch.arange(num_frames).float()[:, None].expand(-1, num_tracks)
    y = 20 * torch.arange(num_tracks).float().expand(num_frames, -1)
    return {"track_path": torch.stack([x, y], dim=-1), "track_visibility": torch.ones(num_frames, num_tracks).bool()}


def nodes_of(pack: Pack) -> list[Any]:
    names = pack("nodes").NODES
    return [node for node in names if node.__module__.endswith(tuple(f".tracks.{name}" for name in MODULES))]


def test_every_node_explains_itself_and_no_output_bears_an_inputs_id(pack: Pack) -> None:
    """Hosts of 2025 refuse the whole pack for one node in which two sockets share an id."""
    nodes = nodes_of(pack)
    assert len(nodes) == 12
    for node in nodes:
        schema = node.define_schema()
        sockets = [*schema.inputs, *schema.outputs]
        assert len({socket.id for socket in sockets}) == len(sockets), node
        assert all(len(socket.fields["tooltip"]) > 10 for socket in sockets), node
        assert schema.node_id == node.__name__
        assert schema.category == "MotionStream/tracks"


def merged(pack: Pack, *parts: Any, lengths: str = "must match") -> Any:
    given = {f"tracks_{i}": part for i, part in enumerate(parts, start=1)}
    return pack("nodes.tracks.transform").MotionStreamMergeTracks.execute(lengths=lengths, **given).args[0]


def test_merge_keeps_the_order(pack: Pack) -> None:
    result = merged(pack, payload(first_x=1), payload(num_tracks=1, first_x=2), payload(first_x=3), payload(first_x=4))
    assert result["track_path"][0, :, 0].tolist() == [1, 1, 2, 3, 3, 4, 4]
    assert result["track_visibility"].shape == (5, 7)


def test_merge_of_other_lengths(pack: Pack) -> None:
    with pytest.raises(ValueError, match="tracks_2 has 3 frames, tracks_1 has 5; choose another value of lengths"):
        merged(pack, payload(), payload(3))
    stretched = merged(pack, payload(), payload(3), lengths="stretch")
    assert stretched["track_path"][:, 2, 0].tolist() == [0, 5, 10, 15, 20]
    ended = merged(pack, payload(), payload(3), payload(9), lengths="cut or end")
    assert ended["track_path"][:3, 2, 0].tolist() == [0, 10, 20]
    assert ended["track_visibility"][:, 2].tolist() == [True] * 3 + [False] * 2
    assert ended["track_path"][:, 4, 0].tolist() == [0, 10, 20, 30, 40]
    assert ended["track_visibility"][:, 4].all()


def transformed(pack: Pack, **changes: Any) -> torch.Tensor:
    node = pack("nodes.tracks.transform").MotionStreamTransformTracks
    return node.execute(payload(), **{**TRANSFORM, **changes}).args[0]["track_path"]


def test_transform(pack: Pack) -> None:
    plain = payload()["track_path"]
    assert torch.equal(transformed(pack), plain)
    assert torch.equal(transformed(pack, shift_x=3.0, shift_y=-4.0), plain + torch.tensor([3.0, -4.0]))
    # Two points 20 px apart, about their middle: twice as far apart; lying, the upper one to the right.
    assert transformed(pack, scale=2.0)[3].tolist() == [[30, -10], [30, 30]]
    assert transformed(pack, rotation=90.0)[3].flatten().tolist() == pytest.approx([40, 10, 20, 10], abs=1e-4)
    assert transformed(pack, stretch_y=-1.0)[3].tolist() == [[30, 20], [30, 0]]
    assert transformed(pack, scale=0.5, about="place", about_x=10.0, about_y=0.0)[4].tolist() == [[25, 0], [25, 10]]


def test_transform_over_time(pack: Pack) -> None:
    assert (transformed(pack, shift_y=8.0, easing="linear") - payload()["track_path"])[:, 0, 1].tolist() == [
        0,
        2,
        4,
        6,
        8,
    ]
    eased = transformed(pack, shift_y=8.0, easing="ease_in", start_frame=1, end_frame=3)[:, 0, 1]
    assert eased.tolist() == [0, 0, 2, 8, 8]
    with pytest.raises(ValueError, match="start_frame is 9, after end_frame 4"):
        transformed(pack, easing="linear", start_frame=9)


def retimed(pack: Pack, **changes: Any) -> tuple[list[float], int]:
    node = pack("nodes.tracks.retime").MotionStreamRetimeTracks
    tracks, length = node.execute(payload(), **{**RETIME, **changes}).args
    assert len(tracks["track_path"]) == len(tracks["track_visibility"]) == length
    seen = zip(tracks["track_path"][:, 0, 0].tolist(), tracks["track_visibility"][:, 0].tolist(), strict=True)
    return [x if visible else -1 for x, visible in seen], length


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0, 10, 20, 30, 40]),
        ({"start": 1, "stop": 4}, [10, 20, 30]),
        ({"start": -2}, [30, 40]),
        ({"stop": -1, "reverse": True}, [30, 20, 10, 0]),
        ({"speed": 2.0}, [0, 20, 40]),
        ({"speed": 0.8}, [0, 8, 16, 24, 32, 40]),
        ({"speed": 0.7}, [0, 7, 14, 21, 28, 35, 40]),
        ({"speed": 2.0, "length": 5, "after": "hide"}, [0, 20, 40, -1, -1]),
        ({"length": 3}, [0, 20, 40]),
        ({"rest_before": 1, "rest_after": 1, "before": "hide"}, [-1, 0, 10, 20, 30, 40, 40]),
    ],
)
def test_retime(pack: Pack, changes: dict[str, Any], expected: list[float]) -> None:
    xs, length = retimed(pack, **changes)
    assert xs == pytest.approx(expected)
    assert length == len(expected)


def test_retime_refuses_to_keep_nothing(pack: Pack) -> None:
    with pytest.raises(ValueError, match="start 5 and stop None keep none of the 5 frames"):
        retimed(pack, start=5)


def test_smooth(pack: Pack) -> None:
    jittered = payload(9)
    jittered["track_path"][4, 0, 1] += 6
    node = pack("nodes.tracks.retime").MotionStreamSmoothTracks
    result = node.execute(jittered, 2).args[0]
    assert result["track_path"][4, 0, 1] < 3
    assert torch.allclose(result["track_path"][..., 0], jittered["track_path"][..., 0], atol=1e-5)
    assert torch.equal(node.execute(jittered, 0).args[0]["track_path"], jittered["track_path"])


def test_rescale(pack: Pack) -> None:
    node = pack("nodes.tracks.transform").MotionStreamRescaleTracks
    stretched = node.execute(payload(), 100, 50, 200, 50, "stretch").args[0]
    assert stretched["track_path"][3, 1].tolist() == [60, 20]
    cropped = node.execute(payload(), 100, 50, 200, 50, "crop").args[0]
    assert cropped["track_path"][3, 1].tolist() == [60, 15]  # twice as large, 25 px cut at the top


def test_a_foreign_payload_is_read(pack: Pack) -> None:
    """[T, 1] visibility, as core's nodes give with a mask, and none at all; float64 paths."""
    given = payload()
    bare = {"track_path": given["track_path"].double()}
    column = {**given, "track_visibility": torch.tensor([[1.0], [0.0], [1.0], [1.0], [1.0]]), "other": 3}
    result = merged(pack, bare, column)
    assert result["track_path"].dtype == torch.float32
    assert result["track_visibility"][:, 3].tolist() == [True, False, True, True, True]
    assert set(result) == {"track_path", "track_visibility"}


def test_a_malformed_payload_names_the_input(pack: Pack) -> None:
    with pytest.raises(ValueError, match="tracks_2: TRACKS has the keys"):
        merged(pack, payload(), {"points": 1})
