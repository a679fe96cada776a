"""Which files make up the weights at a path, and the JSON that lies beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

INDEX_SUFFIX = ".index.json"
WHOLE_SUFFIXES = (".safetensors", ".bin")  # what a folder's only file of weights may be called
DIFFUSERS_FILE = "diffusion_pytorch_model.safetensors"
WHERE = "docs/models.md says where published weights are found and where they belong"
MAX_TENSORS = 20_000  # in a file; a Wan of 14B with its encoders beside it has 2000
MAX_JSON_BYTES = 4 * 2**20  # an index of 1300 tensors has 0.15 MB


class WeightsError(ValueError):
    """Weights, or what is written beside them, that cannot be used; the message begins with the file's name."""


def check_count(num_tensors: int) -> None:
    """Raises ValueError for more tensors in a file than any model here has."""
    if num_tensors > MAX_TENSORS:
        raise ValueError(f"this file holds {num_tensors} tensors; no model that is read here has above {MAX_TENSORS}")


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Turns a ValueError from within into a WeightsError that begins with `path`."""
    try:
        yield
    except WeightsError:
        raise
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from None


def files_of(path: Path, folder: str) -> list[Path]:
    """The files that make up the weights at `path`, as in `read.read_stored`."""
    if path.is_dir():
        return _files_of_folder(path, folder)
    if not path.exists():
        raise FileNotFoundError(f"no weights at {path}; {WHERE}")
    if not path.is_file():
        raise WeightsError(f"{path} is a device or a pipe, not a file; name a file of weights")
    return _files_of_index(path) if path.name.endswith(INDEX_SUFFIX) else [path]


def config_beside(file: Path, path: Path) -> dict[str, Any]:
    """The config.json in the weights' folder, where the folder or its index was named; {} otherwise.

    A lone file that was named may lie among others that the config.json does not speak of, unless it bears diffusers'
    own file name.
    """
    config = file.parent / "config.json"
    meant = path.is_dir() or path.name.endswith(INDEX_SUFFIX) or file.name == DIFFUSERS_FILE
    return read_object(config) if meant and config.exists() else {}


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises WeightsError for anything else."""
    if not path.is_file() or path.stat().st_size > MAX_JSON_BYTES:
        raise WeightsError(f"{path} is no file of JSON below {MAX_JSON_BYTES // 2**20} MiB")
    with naming(path):
        return object_in(path.read_bytes().decode("utf-8-sig"))


def object_in(text: str) -> dict[str, Any]:
    """The JSON object that `text` spells. Raises ValueError for anything else."""
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("this JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"this is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"this JSON is a {type(content).__name__}; it must be an object")
    return content


def _files_of_folder(path: Path, folder: str) -> list[Path]:
    if (path / folder).is_dir():
        return _files_of_folder(path / folder, folder)
    indices = sorted(path.glob(f"*{INDEX_SUFFIX}"))
    files = sorted(each for each in path.iterdir() if each.suffix in WHOLE_SUFFIXES and each.is_file())
    if len(indices) == 1:
        return _files_of_index(indices[0])
    if not indices and len(files) == 1:
        return files
    found = ", ".join(file.name for file in [*indices, *files]) or "none"
    raise FileNotFoundError(
        f"{path} holds no single file of weights (safetensors or bin) and no single index ({found}); name the file "
        "that is meant"
    )


def _files_of_index(index: Path) -> list[Path]:
    names = list(dict.fromkeys(weight_map(index).values()))
    for name in names:
        if Path(name).name != name:
            raise WeightsError(f"{index} names {name!r}, which is not a file beside it")
        if not (index.parent / name).is_file():
            raise FileNotFoundError(f"{index} names {name}, which is not there; download all parts")
    return [index.parent / name for name in names]


def weight_map(index: Path) -> dict[str, str]:
    """Which tensor lies in which file, as an index says it. Raises WeightsError for what is no index."""
    found = read_object(index).get("weight_map")
    if not isinstance(found, dict) or not found or not all(isinstance(name, str) for name in found.values()):
        raise WeightsError(f"{index} is no index of sharded weights: it has no 'weight_map' of tensors to file names")
    return found
