"""Compiling ahead: after it a stream of the same size needs no graph more, and makes what it makes uncompiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx

from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import STUDENT
from motionstream_core.models.wan import WanModel
from motionstream_core.streaming.render.renderer import Renderer, open_renderer
from motionstream_core.streaming.render.warm_up import CACHE_VARIABLE, keep_compiled, warm_up
from motionstream_core.streaming.stream import StreamSettings

FRAMES = 37
compile_blocks = WanModel.compile_blocks


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[fx.GraphModule]:
    """Every graph that is compiled, into itself."""
    torch._dynamo.reset()
    seen: list[fx.GraphModule] = []

    def backend(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        seen.append(graph)
        return graph.forward

    monkeypatch.setattr(WanModel, "compile_blocks", lambda self: compile_blocks(self, fullgraph=True, backend=backend))
    return seen


def frames_of(renderer: Renderer) -> Tensor:
    example = drawn_example(FRAMES)
    image = torch.from_numpy(example.image.copy()).permute(2, 0, 1).float() / 255
    (prompt,) = renderer.encode([example.prompt], [image])
    return torch.cat(list(renderer.video(prompt, image, example.tracks, FRAMES)))


@pytest.mark.slow
def test_a_stream_after_it_needs_no_graph_more(graphs: list[fx.GraphModule]) -> None:
    renderer = open_renderer(STUDENT, dtype=torch.float32, compiled=True)
    told = list(warm_up(renderer, renderer.loaded, (128, 128), StreamSettings()))
    assert told == [(number, told[-1][1]) for number in range(1, told[-1][1] + 1)]
    assert len(graphs) == 3  # a step, a pass that is kept, the last keys
    frames = frames_of(renderer)
    assert len(graphs) == 3
    torch.testing.assert_close(frames, frames_of(open_renderer(STUDENT, dtype=torch.float32)), rtol=0, atol=1e-3)


def test_blocks_whose_weights_wait_are_not_compiled() -> None:
    renderer = open_renderer(STUDENT, dtype=torch.float32, budget_bytes=0, compiled=True)
    with pytest.raises(ValueError, match=r"compile: .* GiB of the weights have no room .* leave the option out"):
        renderer.settle()


def test_a_compiler_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        raise OSError("no g++ here")

    torch._dynamo.reset()
    monkeypatch.setattr(WanModel, "compile_blocks", lambda self: compile_blocks(self, backend=backend))
    renderer = open_renderer(STUDENT, dtype=torch.float32, compiled=True)
    with pytest.raises(RuntimeError, match=r"compile: PyTorch's compiler cannot work here \(OSError: no g\+\+ here\)"):
        list(warm_up(renderer, renderer.loaded, (32, 32), StreamSettings()))


def test_compiled_code_is_kept_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    assert keep_compiled() == tmp_path / "motionstream" / "compiled"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert keep_compiled() == tmp_path / "motionstream" / "compiled"  # as the environment says already
