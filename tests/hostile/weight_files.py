"""Broken and evil files of weights, each made by a function of the path that it is written to."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from motionstream_core.checkpoints import build_model
from motionstream_core.checkpoints.key_maps import to_diffusers
from tests.core.checkpoints.test_gguf import F32, write_gguf
from tests.core.checkpoints.test_load import narrow, weights_of
from tests.core.checkpoints.test_spec import SPEC

Write = Callable[[Path], None]
WEIGHTS = weights_of(narrow("wan21_t2v"))
WHOLE = save(WEIGHTS)
OWN = {name: value.detach() for name, value in build_model(SPEC).state_dict().items()}


def bytes_of(content: bytes) -> Write:
    return lambda path: void(path.write_bytes(content))


def void(_: Any) -> None:
    return None


def header(content: Any, data: bytes = b"", length: int | None = None) -> Write:
    """A safetensors file of this header, or of these bytes as one."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return bytes_of(struct.pack("<Q", len(text) if length is None else length) + text + data)


def entry(shape: list[int], start: int, stop: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def changed(**tensors: Tensor) -> Write:
    """A Wan transformer with some tensors others; __ stands for a dot."""
    return bytes_of(save(WEIGHTS | {name.replace("__", "."): value for name, value in tensors.items()}))


def without(*names: str) -> Write:
    return bytes_of(save({name: value for name, value in WEIGHTS.items() if name not in names}))


def spec(**fields: Any) -> Write:
    """This project's own file, with fields of its spec changed; __ for a dot."""
    values = json.loads(SPEC.to_json())
    for path, value in fields.items():
        *parents, name = path.split("__")
        place = values
        for parent in parents:
            place = place[parent]
        place[name] = value
    return spec_text(json.dumps(values))


def spec_text(text: str) -> Write:
    return bytes_of(save(OWN, {"motionstream_spec": text}))


def tiny_text(text: str) -> Write:
    return bytes_of(
        save({"decoder.1.weight": torch.zeros(1), "encoder.0.weight": torch.zeros(1)}, {"motionstream_tiny_vae": text})
    )


def torch_file(content: Any, zipped: bool = True) -> Write:
    return lambda path: torch.save(content, path, _use_new_zipfile_serialization=zipped)


class Call:
    """Unpickled, it calls."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.called = function, arguments

    def __reduce__(self) -> Any:
        return self.called


def zipped_pickle(instructions: bytes, packed: bool = False) -> Write:
    """A torch file whose pickle is these instructions."""

    def write(path: Path) -> None:
        kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", kind) as archive:
            archive.writestr("archive/data.pkl", instructions)
            archive.writestr("archive/version", "3\n")
            archive.writestr("archive/byteorder", "little")

    return write


def bomb_of_hashes() -> bytes:
    """{((((), ()), ...)): 0}: 2^60 leaves in 200 bytes."""
    doubled = b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(60))
    return b"\x80\x02})" + doubled + b"K\x00s."


def self_containing() -> dict[str, Any]:
    content: dict[str, Any] = {}
    content["state_dict"] = content
    return content


def nested(depth: int) -> Any:
    content: Any = {"weight": torch.zeros(1)}
    for _ in range(depth):
        content = {"model": content}
    return content


def torchscript(path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(path))


def cut(write: Write, share: float) -> Write:
    def cutting(path: Path) -> None:
        write(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return cutting


def gguf(num_tensors: int, num_fields: int, rest: bytes, version: int = 3) -> Write:
    return bytes_of(b"GGUF" + struct.pack("<IQQ", version, num_tensors, num_fields) + rest)


def gguf_field(kind: int, rest: bytes) -> bytes:
    return struct.pack("<Q", 1) + b"a" + struct.pack("<I", kind) + rest


def gguf_tensor(shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return struct.pack("<Q", 1) + b"w" + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


BIG = 2**62
NAN = {"blocks__0__ffn__0__weight": torch.full((40, 128), torch.nan)}
ONE_INF = WEIGHTS["head.head.weight"].clone()
ONE_INF[0, 0] = -torch.inf
LONG_NUMBER = "9" * 5000
DEEP = "[" * 200_000

# Every one is refused by every reader. The name's suffix is the file's.
FILES: dict[str, Write] = {
    "empty.safetensors": bytes_of(b""),
    "few bytes.safetensors": bytes_of(b"12345"),
    "text.safetensors": bytes_of(b"this is no file of weights at all"),
    "page.safetensors": bytes_of(b"\n<!DOCTYPE html><html>404</html>"),
    "pointer.safetensors": bytes_of(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"),
    "array.safetensors": bytes_of(b"\x93NUMPY\x01\x00v\x00"),
    "other zip.pt": lambda path: void(zipfile.ZipFile(path, "w").writestr("a.txt", "b")),
    **{f"cut {share:g}.safetensors": bytes_of(WHOLE[: int(len(WHOLE) * share)]) for share in (0.001, 0.01, 0.3, 0.99)},
    "header of 0.safetensors": header({}, length=0),
    "header of 2^63.safetensors": header({}, length=2**63),
    "header of 90 MB.safetensors": header(b" " * 90_000_000 + b"{}"),
    "header no json.safetensors": header(b"{'a': 1}"),
    "header deep.safetensors": header(b'{"a":' + b"[" * 100_000),
    "header a list.safetensors": header([]),
    "no tensors.safetensors": header({}),
    "beyond.safetensors": header({"a": entry([10], 0, 40)}, b"\0" * 20),
    "overlapping.safetensors": header({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, b"\0" * 12),
    "backwards.safetensors": header({"a": entry([2], 8, 0)}, b"\0" * 8),
    "gap.safetensors": header({"a": entry([1], 8, 12)}, b"\0" * 12),
    "shape lies.safetensors": header({"a": entry([1000], 0, 8)}, b"\0" * 8),
    "shape overflows.safetensors": header({"a": entry([2**40, 2**40], 0, 8)}, b"\0" * 8),
    "negative.safetensors": header({"a": entry([-2], 0, 8)}, b"\0" * 8),
    "dtype unknown.safetensors": header({"a": entry([8], 0, 8, "F3")}, b"\0" * 8),
    "metadata of numbers.safetensors": header({"__metadata__": {"a": 1}}),
    "long name.safetensors": header({"a" * 3_000_000: entry([0], 0, 0)}),
    "many names.safetensors": header({f"text_embedding.{i}": entry([0], 0, 0) for i in range(100_000)}),
    # the transformer's own tensors
    "int.safetensors": bytes_of(save({name: value.int() for name, value in WEIGHTS.items()})),
    "bool.safetensors": bytes_of(save({name: value > 0 for name, value in WEIGHTS.items()})),
    "one int.safetensors": changed(head__head__bias=torch.zeros(64, dtype=torch.int64)),
    "block 10^12.safetensors": changed(blocks__999999999999__norm3__weight=torch.zeros(128)),
    "block 9999.safetensors": changed(blocks__9999__norm3__weight=torch.zeros(128)),
    "block of 5000 digits.safetensors": changed(**{f"blocks__{LONG_NUMBER}__norm3__weight": torch.zeros(1)}),
    "no block.safetensors": without(*(name for name in WEIGHTS if name.startswith("blocks."))),
    "scalars.safetensors": bytes_of(save({name: torch.zeros(()) for name in WEIGHTS})),
    "flat.safetensors": bytes_of(save({name: torch.zeros(3) for name in WEIGHTS})),
    "patch of nought.safetensors": changed(patch_embedding__weight=torch.zeros(128, 16, 1, 0, 2)),
    "width of nought.safetensors": changed(patch_embedding__weight=torch.zeros(0, 16, 1, 2, 2)),
    "text wide.safetensors": changed(text_embedding__0__weight=torch.zeros(0, 10**12)),
    "ffn wide.safetensors": changed(blocks__0__ffn__0__weight=torch.zeros(10**12, 0)),
    "track head of two axes.safetensors": changed(track_head__temporal_conv__weight=torch.zeros(2, 2)),
    "twice.safetensors": bytes_of(save(WEIGHTS | {f"model.{name}": value.clone() for name, value in WEIGHTS.items()})),
    # specs
    **{
        f"spec {index}.safetensors": spec(**fields)
        for index, fields in enumerate(
            [
                {"backbone__num_layers": 10**12},
                {"backbone__num_layers": 0},
                {"backbone__num_layers": 900},
                {"backbone__num_layers": True},
                {"backbone__num_layers": 1.0},
                {"backbone__num_heads": 0},
                {"backbone__num_heads": -2},
                {"backbone__dim": 10**30},
                {"backbone__ffn_dim": 10**12},
                {"backbone__text_len": 10**12},
                {"backbone__patch": [1, 0, 2]},
                {"backbone__patch": [1, 10**9, 2]},
                {"backbone__eps": float("nan")},
                {"backbone__eps": -1.0},
                {"backbone__eps": 10**400},
                {"backbone__rope_theta": float("inf")},
                {"backbone__image_dim": 10**12},
                {"backbone": None},
                {"layout__slots": [["noise", 10**9], ["track", 5]]},
                {"layout__slots": [["noise", True], ["track", 5]]},
                {"layout__slots": []},
                {"track_head__id_dim": 10**12},
                {"vae_stride__time": 0},
                {"vae_stride__space": 10**12},
                {"image_skip": float("inf")},
                {"chunk_plan__chunk_frames": 0},
                {"chunk_plan__chunk_frames": 10**12, "chunk_plan__first_chunk_frames": 10**12},
                {"sink_frames": -1},
                {"window_frames": 10**30},
                {"window_frames": 100_000},
                {"step_list": [True]},
                {"step_list": [10**30]},
                {"shift": float("nan")},
                {"shift": float("inf")},
                {"shift": 0},
                {"text_weight": float("nan")},
                {"motion_weight": float("inf")},
                {"vocabulary": ["a"] * 200_000},
                {"vocabulary": [1]},
                {"frame_size": [0, 0]},
                {"frame_size": [10**12, 10**12]},
                {"fps": 0},
                {"fps": float("nan")},
                {"fps": 1e308},
                {"fps": True},
                {"version": True},
                {"version": 10**400},
            ]
        )
    },
    "spec deep.safetensors": spec_text(DEEP),
    "spec list.safetensors": spec_text("[]"),
    "spec no json.safetensors": spec_text("{"),
    "spec number.safetensors": spec_text(f'{{"version": {LONG_NUMBER}}}'),
    "tiny deep.safetensors": tiny_text(DEEP),
    "tiny list.safetensors": tiny_text("[]"),
    "tiny wide.safetensors": tiny_text('{"latent_channels": 1000000000000}'),
    "tiny patch.safetensors": tiny_text('{"patch_size": 1000000000}'),
    "tiny widths.safetensors": tiny_text('{"decoder_widths": [1, 2]}'),
    "tiny nan.safetensors": tiny_text('{"latent_channels": 1, "decoder_mean": [NaN], "decoder_std": [1]}'),
    "tiny bool.safetensors": tiny_text('{"latent_channels": true}'),
    # torch files
    "exec.pt": torch_file({"generator": Call(exec, "raise SystemExit")}),
    "system.pt": torch_file({"generator": Call(os.system, "true")}),
    "eval, old.pt": torch_file({"generator": Call(eval, "1")}, zipped=False),
    "getattr.bin": torch_file(Call(getattr, "a", "upper")),
    "module.ckpt": torch_file(nn.Linear(1, 1)),
    "spec object.pt": torch_file({"a": SPEC}),
    "plain pickle.pt": lambda path: void(path.write_bytes(pickle.dumps({"a": 1}, 2))),
    "plain pickle 4.pt": lambda path: void(path.write_bytes(pickle.dumps({"a": 1}, 4))),
    "script.pt": torchscript,
    "list.pt": torch_file([1, 2]),
    "nothing.pt": torch_file({}),
    "numbers.pt": torch_file({0: torch.zeros(1), 1: torch.zeros(1)}),
    "pairs.pt": torch_file({("a", "b"): torch.zeros(1)}),
    "itself.pt": torch_file(self_containing()),
    "deep dicts.pt": torch_file(nested(150)),
    "expanded.pt": torch_file({"text_embedding.0.weight": torch.zeros(1).expand(10**6, 10**6)}),
    "sparse.pt": torch_file(
        {"a": torch.sparse_coo_tensor(torch.zeros(1, 0).long(), torch.zeros(0), (10**12,), check_invariants=True)}
    ),
    "meta.pt": torch_file({"a": torch.empty(10**12, device="meta")}),
    "complex.pt": torch_file({name: value.cfloat() for name, value in WEIGHTS.items()}),
    "bytes.pt": zipped_pickle(
        b"\x80\x02}X\x01\x00\x00\x00acbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85Rs."
    ),
    "bomb of hashes.pt": zipped_pickle(bomb_of_hashes()),
    "deep pickle.pt": zipped_pickle(b"\x80\x02" + b"(" * 1_000_000 + b"."),
    "lists.pt": zipped_pickle(b"\x80\x02(" + b"]" * 14_000_000 + b"t."),
    "packed.pt": zipped_pickle(b"\x80\x02(" + b"]" * 120_000_000 + b"t.", packed=True),
    "no pickle.pt": zipped_pickle(b"\x80\x02"),
    "wrong get.pt": zipped_pickle(b"\x80\x02h\x05."),
    "long string.pt": zipped_pickle(b"\x80\x02X\xff\xff\xff\x7fab."),
    **{f"cut {share:g}.pt": cut(torch_file(WEIGHTS), share) for share in (0.001, 0.3, 0.99)},
    **{f"cut {share:g}, old.pt": cut(torch_file(WEIGHTS, zipped=False), share) for share in (0.001, 0.3, 0.99)},
    # GGUF
    "version 99.gguf": gguf(0, 0, b"", version=99),
    "short.gguf": bytes_of(b"GGUF\x03"),
    "tensors 2^62.gguf": gguf(BIG, 0, b""),
    "fields 2^62.gguf": gguf(0, BIG, b""),
    "name 2^62.gguf": gguf(1, 0, struct.pack("<Q", BIG)),
    "list 2^62.gguf": gguf(0, 1, gguf_field(9, struct.pack("<IQ", 4, BIG))),
    "texts 2^62.gguf": gguf(0, 1, gguf_field(9, struct.pack("<IQ", 8, BIG))),
    "lists of lists.gguf": gguf(0, 1, gguf_field(9, struct.pack("<IQ", 9, 1))),
    "kind 99.gguf": gguf(0, 1, gguf_field(99, b"")),
    "axes 2^31.gguf": gguf(1, 0, struct.pack("<Q", 1) + b"w" + struct.pack("<I", 2**31)),
    "shape 2^62.gguf": gguf(1, 0, gguf_tensor((BIG, BIG))),
    "offset 2^62.gguf": gguf(1, 0, gguf_tensor((1,), offset=BIG)),
    "type 99.gguf": gguf(1, 0, gguf_tensor((32,), kind=99) + bytes(64)),
    "unnamed.gguf": gguf(1, 0, gguf_tensor((1,)) + bytes(64)),
}
# Whose shapes are a model's: only reading their numbers tells. `inspect` reads none.
SCALES: dict[str, Write] = {
    "scale for nothing.safetensors": changed(blocks__0__ffn__0__scale_weight=torch.zeros(7)),
    "scale for a scalar.safetensors": changed(a__weight=torch.zeros(()), a__scale_weight=torch.zeros(7)),
    "quantisation of 10^12.safetensors": changed(blocks__0__ffn__0__comfy_quant=torch.tensor(10**12)),
    "quantisation deep.safetensors": changed(
        blocks__0__ffn__0__comfy_quant=torch.tensor(list(b"[" * 4000), dtype=torch.uint8)
    ),
}
DAMAGED: dict[str, Write] = {
    "nan.safetensors": changed(**NAN),
    "all nan.safetensors": bytes_of(save({name: value * torch.nan for name, value in WEIGHTS.items()})),
    "one inf.safetensors": changed(head__head__weight=ONE_INF),
    "fp8 nan.safetensors": changed(**{name: value.to(torch.float8_e4m3fn) for name, value in NAN.items()}),
    "bf16 nan.safetensors": changed(**{name: value.bfloat16() for name, value in NAN.items()}),
    "nan scale.safetensors": changed(
        blocks__0__ffn__0__weight=torch.zeros(40, 128).to(torch.float8_e4m3fn),
        blocks__0__ffn__0__scale_weight=torch.tensor(torch.nan),
    ),
    "nan.pt": torch_file(WEIGHTS | {"head.head.weight": ONE_INF}),
}


def config(text: str | bytes) -> Write:
    """A folder with a good transformer and this config.json."""

    def write(path: Path) -> None:
        path.mkdir()
        (path / "diffusion_pytorch_model.safetensors").write_bytes(save(to_diffusers(WEIGHTS)))
        (path / "config.json").write_bytes(text.encode() if isinstance(text, str) else text)

    return write


def index(text: str, **files: dict[str, Tensor]) -> Write:
    """A folder with this index and files."""

    def write(path: Path) -> None:
        path.mkdir()
        (path / "model.safetensors.index.json").write_text(text)
        for name, tensors in files.items():
            (path / f"{name}.safetensors").write_bytes(save(tensors))

    return write


def pipe(path: Path) -> None:
    os.mkfifo(path)


def piped_config(path: Path) -> None:
    config("{}")(path)
    (path / "config.json").unlink()
    os.mkfifo(path / "config.json")


def link_to(target: str) -> Write:
    return lambda path: path.symlink_to(target)


A = {"a": torch.zeros(1)}
PLACES: dict[str, Write] = {
    "pipe.safetensors": pipe,
    "zeros.safetensors": link_to("/dev/zero"),
    "noise.pt": link_to("/dev/urandom"),
    "to itself.safetensors": link_to("to itself.safetensors"),
    "nothing": lambda path: path.mkdir(),
    "config deep": config(DEEP),
    "config list": config("[]"),
    "config no text": config(b"\xff\xfe\x00{}"),
    "config large": config('{"a": "' + "a" * 8_000_000 + '"}'),
    "config a pipe": piped_config,
    "heads text": config('{"num_attention_heads": "12"}'),
    "heads none": config('{"num_attention_heads": -1}'),
    "heads true": config('{"num_attention_heads": true}'),
    "heads many": config('{"num_attention_heads": 1e999}'),
    "heads list": config('{"num_attention_heads": [1]}'),
    "heads huge": config(f'{{"num_attention_heads": {"9" * 400}}}'),
    "length huge": config('{"text_len": 1000000000000}'),
    "eps nan": config('{"eps": NaN}'),
    "index empty": index("{}"),
    "index of none": index('{"weight_map": {}}'),
    "index of a list": index('{"weight_map": ["a"]}'),
    "index of numbers": index('{"weight_map": {"a": 1}}'),
    "index deep": index(DEEP),
    "index upwards": index('{"weight_map": {"a": "../a.safetensors"}}'),
    "index absolute": index('{"weight_map": {"a": "/etc/passwd"}}'),
    "index of nothing": index('{"weight_map": {"a": "a.safetensors"}}'),
    "index of itself": index('{"weight_map": {"a": "model.safetensors.index.json"}}'),
    "index of two alike": index('{"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}', a=A, b=A),
}


def samples() -> dict[str, bytes]:
    """Whole files of each kind, small, for their bytes to be changed."""
    few = {name: value for name, value in WEIGHTS.items() if "blocks.1" not in name}
    zipped, old = io.BytesIO(), io.BytesIO()
    torch.save(few, zipped)
    torch.save(few, old, _use_new_zipfile_serialization=False)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "whole.gguf"
        write_gguf(path, {name: (tuple(value.shape), F32, value.numpy().tobytes()) for name, value in few.items()})
        gguf = path.read_bytes()
    return {"safetensors": save(few), "pt": zipped.getvalue(), "old pt": old.getvalue(), "gguf": gguf}
