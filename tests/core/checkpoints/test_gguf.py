"""GGUF files, written here byte by byte after the format's description, and their blocks multiplied out by hand."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from motionstream_core.checkpoints import load_model
from motionstream_core.checkpoints.read import read_stored
from tests.core.checkpoints.test_load import narrow, weights_of

F32, F16, Q4_0, Q8_0 = 0, 1, 2, 8


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def write_gguf(
    path: Path, tensors: Mapping[str, tuple[tuple[int, ...], int, bytes]], shapes: Mapping[str, tuple[int, ...]] = {}
) -> None:
    """Tensors as (shape, type, bytes); `shapes` are written beside, as ComfyUI-GGUF writes them."""
    fields = text("general.architecture") + struct.pack("<I", 8) + text("wan")
    for name, shape in shapes.items():
        fields += text(f"comfy.gguf.orig_shape.{name}") + struct.pack(f"<IIQ{len(shape)}i", 9, 5, len(shape), *shape)
    entries, data = b"", b""
    for name, (shape, kind, content) in tensors.items():
        entries += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape[::-1], kind, len(data))
        data += content + bytes(-len(content) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 1 + len(shapes)) + fields + entries
    path.write_bytes(head + bytes(-len(head) % 32) + data)


def q8_0(values: Tensor) -> tuple[bytes, Tensor]:
    """Blocks of 32: a scale in fp16, and 32 signed bytes. Returns them, and what they stand for."""
    blocks = values.reshape(-1, 32)
    scales = (blocks.abs().amax(1, keepdim=True) / 127).half()
    steps = (blocks / scales.float()).round().clamp(-127, 127).to(torch.int8)
    content = b"".join(
        scale.numpy().tobytes() + step.numpy().tobytes() for scale, step in zip(scales, steps, strict=True)
    )
    return content, (scales.float() * steps.float()).reshape(values.shape)


def test_numbers_as_they_stand(tmp_path: Path) -> None:
    one, other = torch.randn(3, 5), torch.randn(2, 3, 1, 2, 2).half()
    tensors = {
        "one": ((3, 5), F32, one.numpy().tobytes()),
        "patch_embedding.weight": ((6, 4), F16, other.numpy().tobytes()),
    }
    write_gguf(tmp_path / "a.gguf", tensors, {"patch_embedding.weight": (2, 3, 1, 2, 2)})
    found = read_stored(tmp_path / "a.gguf").tensors
    assert torch.equal(found["one"], one)
    assert torch.equal(found["patch_embedding.weight"], other)
    shapes = read_stored(tmp_path / "a.gguf", shapes_only=True).tensors
    assert {name: (value.shape, value.dtype) for name, value in shapes.items()} == {
        name: (value.shape, value.dtype) for name, value in found.items()
    }


def test_a_quantised_model_is_multiplied_out(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="the package that knows the quantisations")
    spec = narrow("wan21_t2v")
    weights, tensors, expected = weights_of(spec), {}, {}
    for name, value in weights.items():
        if value.ndim == 2 and value.shape[1] % 32 == 0:
            content, meant = q8_0(value)
            tensors[name], expected[name] = (tuple(value.shape), Q8_0, content), meant.bfloat16()
        else:
            tensors[name], expected[name] = (tuple(value.shape), F32, value.numpy().tobytes()), value
    write_gguf(tmp_path / "wan.gguf", tensors)
    loaded = load_model(tmp_path / "wan.gguf")
    assert loaded.spec == spec
    found = loaded.model.state_dict()
    assert sum(value.dtype == torch.bfloat16 for value in found.values()) > 10
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_four_bits(tmp_path: Path) -> None:
    """Q4_0: a scale, then 16 bytes of two numbers each, the first half's in the low bits; 8 is nought."""
    pytest.importorskip("gguf", reason="the package that knows the quantisations")
    numbers = torch.randint(0, 16, (4, 32))
    scales = torch.tensor([[0.5], [1.0], [0.25], [2.0]]).half()
    packed = (numbers[:, :16] | numbers[:, 16:] << 4).to(torch.uint8)
    content = b"".join(s.numpy().tobytes() + p.numpy().tobytes() for s, p in zip(scales, packed, strict=True))
    write_gguf(tmp_path / "a.gguf", {"w": ((2, 64), Q4_0, content)})
    found = read_stored(tmp_path / "a.gguf").tensors["w"]
    assert torch.equal(found, ((numbers - 8) * scales.float()).bfloat16().reshape(2, 64))


def test_without_the_package_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    write_gguf(tmp_path / "a.gguf", {"w": ((1, 32), Q8_0, bytes(34))})
    with pytest.raises(ImportError, match=r"a\.gguf: .*pip install gguf\); or take the same model as safetensors"):
        read_stored(tmp_path / "a.gguf")


@pytest.mark.parametrize("length", [4, 8, 23, 40, 90, 130, 200])
def test_a_cut_file_says_so(tmp_path: Path, length: int) -> None:
    write_gguf(tmp_path / "a.gguf", {"w": ((3, 5), F32, bytes(60)), "v": ((3, 5), F32, bytes(60))})
    content = (tmp_path / "a.gguf").read_bytes()
    assert len(content) > length
    (tmp_path / "a.gguf").write_bytes(content[:length])
    with pytest.raises(ValueError, match=r"a\.gguf: this GGUF file .*(broken|cut off)"):
        read_stored(tmp_path / "a.gguf")
