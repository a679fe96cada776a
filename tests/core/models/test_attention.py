"""Attention against a naive softmax, and the choice of its backend."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from motionstream_core.models import attention as module
from motionstream_core.models.attention import attention, available_backends

BACKENDS: tuple[module.Backend, ...] = ("auto", "sdpa", "matmul")


def draw(length: int, num_heads: int = 2, head_dim: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(2, length, num_heads, head_dim, generator=torch.Generator().manual_seed(seed))


def naive(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """One query after the other, in float64."""
    out = torch.empty(*q.shape[:3], v.shape[-1], dtype=torch.float64)
    for b in range(q.shape[0]):
        for head in range(q.shape[2]):
            for i in range(q.shape[1]):
                seen = [j for j in range(k.shape[1]) if mask is None or mask[i, j]]
                keys, values = k[b, seen, head].double(), v[b, seen, head].double()
                scores = (keys * q[b, i, head].double()).sum(-1) / q.shape[-1] ** 0.5
                weights = scores.exp() / scores.exp().sum()
                out[b, i, head] = (weights[:, None] * values).sum(0)
    return out


@pytest.fixture(autouse=True)
def forget_imports() -> None:
    module._FLASH.clear()
    module._FASTEST.clear()
    module._importable.cache_clear()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (3, 9), (1, 1)])
def test_equals_a_naive_softmax(backend: module.Backend, queries: int, keys: int) -> None:
    q, k, v = draw(queries, seed=1), draw(keys, seed=2), draw(keys, seed=3)
    torch.testing.assert_close(attention(q, k, v, backend=backend).double(), naive(q, k, v), rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_query_sees_where_the_mask_is_true(backend: module.Backend) -> None:
    q, k, v = draw(4, seed=1), draw(6, seed=2), draw(6, seed=3)
    mask = torch.rand(4, 6, generator=torch.Generator().manual_seed(4)) < 0.5
    mask[:, 0] = True
    assert not mask.all()
    out = attention(q, k, v, mask, backend)
    torch.testing.assert_close(out.double(), naive(q, k, v, mask), rtol=0, atol=1e-5)
    assert not torch.allclose(out, attention(q, k, v, backend=backend), atol=1e-2)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_equal_those_of_a_naive_softmax(backend: module.Backend, masked: bool) -> None:
    mask = torch.tensor([[True, False, True], [True, True, False]]) if masked else None
    weight = draw(2, seed=9)

    def gradients(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> list[Tensor]:
        leaves = [draw(2, seed=1).requires_grad_(), *(draw(3, seed=seed).requires_grad_() for seed in (2, 3))]
        return list(torch.autograd.grad((function(*leaves) * weight).sum(), leaves))

    expected = gradients(lambda q, k, v: naive(q, k, v, mask))
    made = gradients(lambda q, k, v: attention(q, k, v, mask, backend))
    for ours, truth in zip(made, expected, strict=True):
        torch.testing.assert_close(ours, truth, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "package"), [("flash2", "flash-attn"), ("flash3", "flash-attn 3")])
def test_a_named_backend_that_is_missing_is_an_error(
    name: module.Backend, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for imported in ("flash_attn", "flash_attn_interface"):
        monkeypatch.setitem(sys.modules, imported, None)
    with pytest.raises(ImportError, match=package):
        attention(draw(2), draw(2), draw(2), backend=name)
    assert available_backends() == ("sdpa",)


@pytest.mark.parametrize(
    "fault",
    [
        AttributeError("module 'torch.library' has no attribute 'wrap_triton'"),
        RuntimeError("no operator registered"),
        ImportError("undefined symbol: _ZN3c10"),
        OSError("libcudart.so.11.0: cannot open shared object file"),
        ModuleNotFoundError("No module named 'einops'", name="einops"),
    ],
)
def test_a_flash_that_does_not_import_is_not_available_and_said_once(
    fault: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(name: str) -> None:
        raise fault if name == "flash_attn" else ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(module.importlib, "import_module", broken)
    for _ in range(2):
        assert available_backends() == ("sdpa",)
    assert len(caplog.records) == 1
    assert str(fault) in caplog.text and "flash-attn cannot be used" in caplog.text
    assert str(fault) in (module.why_unavailable("flash2") or "")
    with pytest.raises(ImportError, match="made for this torch, or use 'sdpa'"):
        attention(draw(2), draw(2), draw(2), backend="flash2")


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(ValueError, match=r"'xformers'.*sdpa, flash2, flash3"):
        attention(draw(2), draw(2), draw(2), backend="xformers")  # type: ignore[arg-type]


def test_a_mask_with_a_named_flash_is_refused() -> None:
    with pytest.raises(ValueError, match="'flash2' takes no mask"):
        attention(draw(2), draw(2), draw(2), torch.ones(2, 2, dtype=torch.bool), backend="flash2")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_auto_on_the_cpu_is_sdpa(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where FlashAttention is installed, which knows no CPU."""

    def refuse(*_: Tensor) -> Tensor:
        raise AssertionError("FlashAttention was asked for CPU tensors")

    for imported in ("flash_attn", "flash_attn_interface"):
        monkeypatch.setitem(sys.modules, imported, SimpleNamespace(flash_attn_func=refuse))
    assert available_backends() == ("flash3", "flash2", "sdpa")
    q, k, v = draw(3).to(dtype), draw(5, seed=1).to(dtype), draw(5, seed=2).to(dtype)
    assert torch.equal(attention(q, k, v), attention(q, k, v, backend="sdpa"))


@pytest.mark.parametrize("wrap", [lambda out: out, lambda out: (out, None)], ids=["tensor", "tuple"])
def test_a_flash_function_is_called_in_its_own_layout(wrap: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """FlashAttention takes (b l k d) as it is; early version 3 also returns the softmax sums."""

    def flash(q: Tensor, k: Tensor, v: Tensor) -> object:
        return wrap(naive(q, k, v).to(q.dtype))  # type: ignore[operator]

    monkeypatch.setitem(sys.modules, "flash_attn_interface", SimpleNamespace(flash_attn_func=flash))
    q, k, v = draw(3), draw(5, seed=1), draw(5, seed=2)
    torch.testing.assert_close(attention(q, k, v, backend="flash3"), attention(q, k, v, backend="sdpa"))


def test_a_compiled_pass_finds_its_backend_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a break in the graph, though to find it takes an import."""

    def flash(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return v.mean(1, keepdim=True).expand_as(q)

    monkeypatch.setitem(sys.modules, "flash_attn", SimpleNamespace(flash_attn_func=flash))
    q, k, v = draw(3), draw(5, seed=1), draw(5, seed=2)
    expected = attention(q, k, v, backend="flash2")
    torch._dynamo.reset()
    compiled = torch.compile(attention, fullgraph=True, backend="eager")
    assert torch.equal(compiled(q, k, v, backend="flash2"), expected)
    assert torch.equal(compiled(q, k, v), attention(q, k, v, backend="sdpa"))


class OnGpu(torch.Tensor):
    """A tensor of the CPU that says that it lies on a GPU."""

    is_cuda = True  # type: ignore[assignment]
    device = torch.device("cuda", 0)  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("capability", "auto"),
    [
        ((7, 5), "sdpa"),
        ((8, 0), "flash2"),
        ((8, 9), "flash2"),
        ((9, 0), "flash3"),
        ((10, 0), "flash2"),
        ((12, 0), "flash2"),
    ],
)
def test_a_gpu_gets_what_was_made_for_it(
    capability: tuple[int, int], auto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FlashAttention 3 knows Hopper alone, and says so only once it is called."""
    asked: list[str] = []

    def flash(name: str) -> SimpleNamespace:
        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            asked.append(name)
            return v[:, : q.shape[1]]

        return SimpleNamespace(flash_attn_func=attend)

    monkeypatch.setitem(sys.modules, "flash_attn", flash("flash2"))
    monkeypatch.setitem(sys.modules, "flash_attn_interface", flash("flash3"))
    monkeypatch.setattr(module, "_capability", lambda _: capability)
    searched: list[torch.device | None] = []

    def search(device: torch.device | None = None) -> tuple[str, ...]:
        searched.append(device)
        return available_backends(device)

    monkeypatch.setattr(module, "available_backends", search)
    q = draw(3).bfloat16().as_subclass(OnGpu)
    attention(q, q, q)
    attention(q, q, q)
    assert asked == [auto, auto] * (auto != "sdpa")
    assert searched == [q.device]
    runs = available_backends(q.device)
    assert runs[0] == auto and runs[-1] == "sdpa"

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    for name in ("flash2", "flash3"):
        reason = module.why_unavailable(name)
        if name in runs:
            assert reason is None
            continue
        said = f"compute capability .*this one has {capability[0]}.{capability[1]}"
        assert reason is not None and re.search(said, reason)
        with pytest.raises(ValueError, match=f"{name}.*{said}; use 'sdpa' or 'auto'"):
            attention(q, q, q, backend=name)  # type: ignore[arg-type]
