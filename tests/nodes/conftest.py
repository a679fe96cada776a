"""The pack without ComfyUI: just enough of the host's modules to import the nodes and call them."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.nodes import fake_comfy

ROOT = Path(__file__).parents[2]
NAME = "motionstream_pack_without_host"
NATIVE_KINDS = ("Model", "Vae", "Conditioning", "ClipVisionOutput", "Guider", "Sigmas", "MultiType")


class Interrupt(BaseException):
    """What the host raises where the user cancelled."""


@dataclasses.dataclass
class FakeHost:
    """What the fake modules look at and what they noted."""

    models_dir: Path
    interrupted: bool = False
    client_id: str | None = None
    updates: list[tuple[int, Any]] = dataclasses.field(default_factory=list)
    unloaded: int = 0
    sent: list[tuple[str, Any, str]] = dataclasses.field(default_factory=list)
    waiting: int = 0

    def __post_init__(self) -> None:
        self.routes = types.SimpleNamespace(get=lambda path: lambda handler: handler)
        self.prompt_queue = types.SimpleNamespace(get_tasks_remaining=lambda: 1 + self.waiting)

    def send_sync(self, event: str, detail: Any, client_id: str) -> None:
        self.sent.append((event, detail, client_id))

    def throw(self) -> None:
        if self.interrupted:
            raise Interrupt


class _Input:
    def __init__(self, id: str = "", **fields: Any) -> None:
        self.id, self.fields = id, fields


@dataclasses.dataclass
class _Schema:
    node_id: str
    display_name: str
    category: str
    description: str
    inputs: list[Any]
    outputs: list[Any]


class _NodeOutput:
    def __init__(self, *args: Any, ui: dict[str, Any] | None = None) -> None:
        self.args, self.ui = args, ui


def _modules(host: FakeHost) -> dict[str, types.ModuleType]:
    def socket(_: str = "") -> Any:
        return types.SimpleNamespace(Input=_Input, Output=_Input)

    node = type("ComfyNode", (), {"hidden": types.SimpleNamespace(unique_id="7", prompt={})})
    hidden = types.SimpleNamespace(unique_id="unique_id", prompt="prompt")
    io = types.SimpleNamespace(
        ComfyNode=node,
        Hidden=hidden,
        Schema=_Schema,
        NodeOutput=_NodeOutput,
        Custom=socket,
    )
    for kind in (
        "Int",
        "Float",
        "String",
        "Combo",
        "Boolean",
        "Image",
        "Latent",
        "Mask",
        "Video",
        "AnyType",
        *NATIVE_KINDS,
    ):
        setattr(io, kind, socket())

    class VideoFromFile:
        def __init__(self, file: str) -> None:
            self.file = file

        def get_stream_source(self) -> str:
            return self.file

    class VideoFromComponents(types.SimpleNamespace):
        def __init__(self, parts: types.SimpleNamespace) -> None:
            super().__init__(**vars(parts))

        def get_components(self) -> Any:
            return self

    InputImpl = types.SimpleNamespace(VideoFromFile=VideoFromFile, VideoFromComponents=VideoFromComponents)
    Types = types.SimpleNamespace(VideoComponents=types.SimpleNamespace)

    class ProgressBar:
        def __init__(self, total: int) -> None:
            self.total = total

        def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
            host.throw()
            host.updates.append((value, preview))

    def unload() -> None:
        host.unloaded += 1

    names = {
        "comfy": {},
        "comfy.lora": {},
        "comfy.utils": {"ProgressBar": ProgressBar},
        "comfy.model_patcher": {"ModelPatcher": fake_comfy.Patcher},
        **fake_comfy.modules(),
        "comfy.model_management": {
            **{name: lambda: torch.device("cpu") for name in ("get_torch_device", "unet_offload_device", "vae_device")},
            "vae_offload_device": lambda: torch.device("cpu"),
            "load_models_gpu": lambda *_, **__: None,
            "throw_exception_if_processing_interrupted": host.throw,
            "InterruptProcessingException": Interrupt,
            "unload_all_models": unload,
            "soft_empty_cache": lambda: None,
            "is_device_cpu": lambda _: True,
            "vae_dtype": lambda _device, _allowed: torch.float32,
        },
        "comfyui_version": {"__version__": "0.0.1"},
        "comfy_execution": {},
        "comfy_execution.graph": {"ExecutionBlocker": fake_comfy.ExecutionBlocker},
        "comfy_api": {},
        "comfy_api.latest": {"io": io, "ComfyExtension": object, "InputImpl": InputImpl, "Types": Types},
        "folder_paths": {
            "models_dir": str(host.models_dir),
            "folder_names_and_paths": {"vae_approx": ([str(host.models_dir / "vae_approx")], {".safetensors"})},
            "get_filename_list": lambda _: [],
            "get_save_image_path": fake_comfy.save_image_path,
            "get_full_path": lambda _folder, _name: None,
            **{
                f"get_{name}_directory": lambda name=name: str(host.models_dir / name)
                for name in ("input", "output", "temp")
            },
            "filter_files_content_types": lambda names, _kinds: names,
            "annotated_filepath": lambda name: (name, None),
            "get_folder_paths": lambda folder: [str(host.models_dir / folder)],
        },
        "server": {"PromptServer": types.SimpleNamespace(instance=host)},
    }
    made = {}
    for name, content in names.items():
        made[name] = types.ModuleType(name)
        made[name].__dict__.update(content)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(made[parent], child, made[name])
    return made


@pytest.fixture(scope="session")
def session_host(tmp_path_factory: pytest.TempPathFactory) -> FakeHost:
    return FakeHost(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def pack(session_host: FakeHost) -> Iterator[Callable[[str], Any]]:
    """`pack("nodes.streaming.request")` imports that module of the pack."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in _modules(session_host).items():
            patch.setitem(sys.modules, name, module)
        spec = importlib.util.spec_from_file_location(
            NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules[NAME] = package
        spec.loader.exec_module(package)
        yield lambda module: importlib.import_module(f"{NAME}.{module}")
        for name in [name for name in sys.modules if name == NAME or name.startswith(f"{NAME}.")]:
            del sys.modules[name]


@pytest.fixture
def host(session_host: FakeHost) -> FakeHost:
    session_host.interrupted, session_host.client_id, session_host.unloaded = False, None, 0
    session_host.updates.clear()
    return session_host
