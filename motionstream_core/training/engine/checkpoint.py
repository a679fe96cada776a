"""Resumable training: parts, step by step, in torch.distributed.checkpoint's format.

A checkpoint is a folder `step_XXXXXXXX` of one file per rank and a list of what belongs to it. It is written by a
thread under `step_XXXXXXXX.part` and renamed when every rank has finished: it is there whole or not at all, and a
checksum of every file tells one that was damaged since. What was
sharded over some ranks can be read by any other number of them.

Safety: tensors are read with `weights_only`; the format's own index is a pickle, which is read here through a list of
the few types that it needs (torch's reader would run anything). Checkpoints are still meant for the run that wrote
them: do not resume from folders of strangers, take their weights through `load_model`.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from .engine import Engine, Part

# one process without a group is meant, and torch warns of it at every save
warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")

MANIFEST = "files.json"
LISTED = 3  # of faults, in messages
READ_BYTES = 2**24


class Checkpoints:
    """The checkpoints of one stage. As a context manager it waits, when left, for the one that is being written."""

    def __init__(self, engine: Engine, folder: Path, keep: int, note: Callable[[str], None]) -> None:
        if keep < 1:
            raise ValueError(f"keep is {keep}; at least one checkpoint must be kept")
        self.engine = engine
        self.folder = folder
        self.keep = keep
        self.note = note
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[Path] | None = None
        self.newest: Path | None = None

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except Exception as failed:
            if error is None:
                raise
            self.note(f"the checkpoint being written was lost: {failed}")  # what ended the training says more
        finally:
            self._thread.shutdown(wait=False)

    def save(self, train_step: int, parts: Sequence[Part]) -> None:
        """Copy the parts' state, then write it while training goes on; all ranks call it.

        Waits for the checkpoint before, and raises what went wrong with it.
        """
        self.wait()
        path = self.folder / f"step_{train_step:08d}"
        partial = path.with_name(path.name + ".part")
        if self.engine.is_main:
            for leftover in self.folder.glob("step_*.part"):
                shutil.rmtree(leftover)
            partial.mkdir(parents=True)
        self.engine.barrier()
        alone = self.engine.writing is None
        written = async_save(
            _state(parts), checkpoint_id=str(partial), process_group=self.engine.writing, no_dist=alone
        )
        assert isinstance(written, Future)  # what it returns without a stager of its own
        self._writing = self._thread.submit(self._finish, written, partial, path)

    def wait(self) -> Path | None:
        """The newest checkpoint, once nothing is being written any more; None where there is none."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            self.newest = writing.result()
        return self.newest

    def _finish(self, written: Future[Any], partial: Path, path: Path) -> Path:
        """In the thread: wait for all ranks, list the files, give the folder its name, forget the oldest ones."""
        written.result()  # returns when every rank has written
        if self.engine.is_main:
            listed = {
                file.name: {"bytes": file.stat().st_size, "crc32": _crc32(file)} for file in sorted(partial.iterdir())
            }
            (partial / MANIFEST).write_text(json.dumps(listed, indent=1), "utf-8")
            if path.exists():
                shutil.rmtree(path)
            os.replace(partial, path)
            for old in sorted(self.folder.glob("step_" + "[0-9]" * 8))[: -self.keep]:
                shutil.rmtree(old)
        if self.engine.writing is not None:
            dist.barrier(group=self.engine.writing)
        return path

    def resume(self, parts: Sequence[Part]) -> int:
        """Read the newest whole checkpoint into the parts; its step, or 0 where there is none. All ranks call it.

        A folder that is not whole is left out with a note. Raises ValueError when a whole one does not fit the parts.
        """
        found = self._whole() if self.engine.is_main else None
        found = self.engine.from_main(found)
        if found is None:
            return 0
        path = Path(str(found))
        state = _state(parts)
        reader = _SafeReader(path)
        _check_fit(path, reader.read_metadata(), state["parts"])
        # read into the very tensors that the parts hold
        load(state, storage_reader=reader, process_group=self.engine.writing, no_dist=self.engine.writing is None)
        self.newest = path
        self.note(f"goes on from {path}")
        return int(path.name.removeprefix("step_"))

    def _whole(self) -> str | None:
        """The newest folder whose files are all there, to the last bit as they were written."""
        for path in sorted(self.folder.glob("step_*"), reverse=True):
            fault = "it was never finished" if path.suffix == ".part" else _fault(path)
            if fault is None:
                return str(path)
            self.note(f"{path} is left out: {fault}")
        return None


def _state(parts: Sequence[Part]) -> dict[str, Any]:
    return {"parts": {name: tensor for part in parts for name, tensor in part.tensors().items()}}


def _fault(path: Path) -> str | None:
    """What is wrong with the files of a checkpoint, or None."""
    try:
        listed = json.loads((path / MANIFEST).read_text("utf-8"))
        told = {name: _size_and_checksum(each) for name, each in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"its list of files cannot be read ({error})"
    for name, (size, checksum) in told.items():
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes instead of {size}"
        if checksum is not None and _crc32(file) != checksum:
            return f"{name} is not what was written: its checksum is another"
    return None


def _size_and_checksum(entry: Any) -> tuple[int, int | None]:
    """Of an entry of the list; the first releases listed sizes alone."""
    return (entry, None) if type(entry) is int else (entry["bytes"], entry["crc32"])


def _crc32(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while part := file.read(READ_BYTES):
            checksum = zlib.crc32(part, checksum)
    return checksum


def _check_fit(path: Path, metadata: Metadata, state: Mapping[str, Tensor]) -> None:
    stored = {
        name.removeprefix("parts."): tuple(getattr(entry, "size", ()))
        for name, entry in metadata.state_dict_metadata.items()
    }
    faults = shape_faults({name: tuple(value.shape) for name, value in state.items()}, stored)
    if faults:
        raise ValueError(
            f"{path} does not fit this training: {faults}; was it written by other settings? Give another --out, or "
            "remove the folder to begin anew"
        )


def shape_faults(wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, tuple[int, ...]]) -> str:
    """How `given` shapes by name differ from the `wanted` ones, the first few of each kind; empty where they agree."""
    other = [f"{n} is {given[n]}, not {wanted[n]}" for n in wanted if n in given and given[n] != wanted[n]]
    kinds = {
        "wrong shape": other,
        "missing": [name for name in wanted if name not in given],
        "unknown": [name for name in given if name not in wanted],
    }
    return "; ".join(
        f"{kind}: {', '.join(names[:LISTED])}" + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
        for kind, names in kinds.items()
        if names
    )


def load_start(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Give a model its starting weights; a model on the meta device takes the very tensors.

    Raises ValueError that lists the first few names which are missing, unknown or of another shape, with both shapes.
    """
    own = model.state_dict()
    faults = shape_faults({n: tuple(v.shape) for n, v in own.items()}, {n: tuple(v.shape) for n, v in weights.items()})
    if faults:
        raise ValueError(f"the weights of {source} do not fit the model that is to start from them: {faults}")
    model.load_state_dict(dict(weights), assign=any(each.is_meta for each in own.values()))


class _SafeUnpickler(pickle.Unpickler):
    """Reads the index of a checkpoint and nothing else: tables of names, shapes and places in files."""

    MODULES = ("torch.distributed.checkpoint.metadata", "torch.distributed.checkpoint.filesystem")
    NAMES = frozenset(
        [
            *(("torch", name) for name in ("Size", "device", "strided", "float32", "float64", "bfloat16", "float16")),
            *(("torch", name) for name in ("int64", "int32", "int16", "int8", "uint8", "bool")),
            ("torch.serialization", "_get_layout"),
            *((module, name) for module in ("pathlib", "pathlib._local") for name in ("PosixPath", "WindowsPath")),
            ("collections", "OrderedDict"),
            ("collections", "defaultdict"),
        ]
    )

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        known = module_name in self.MODULES and global_name.lstrip("_")[:1].isupper() and "." not in global_name
        if known or (module_name, global_name) in self.NAMES:
            return super().find_class(module_name, global_name)
        raise pickle.UnpicklingError(f"a checkpoint's index has no business with {module_name}.{global_name}")


class _SafeReader(FileSystemReader):
    """torch's reader, whose index is read by `_SafeUnpickler`."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        with (Path(self.path) / ".metadata").open("rb") as file:
            metadata = _SafeUnpickler(file).load()
        if metadata.storage_meta is None:
            metadata.storage_meta = StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata
