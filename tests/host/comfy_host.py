"""A real ComfyUI for tests: started from a checkout, spoken to over HTTP as any script would."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 300.0
LINK_NAME = "motionstream_under_test"
COLOR_CODES = re.compile(r"\x1b\[[0-9;]*m")


class ComfyHost:
    """One running server with its own input, output, user and temporary folders below `folder`.

    beside: checkouts of other packs that run in it too.
    """

    def __init__(self, checkout: Path, python: str, folder: Path, has_gpu: bool, beside: tuple[Path, ...] = ()) -> None:
        self.checkout, self.python, self.folder = checkout, python, folder
        self.input, self.output, self.models = folder / "input", folder / "output", folder / "models"
        self._has_gpu = has_gpu
        self._log_path = folder / "server.log"
        self._beside, self._own_links = beside, list[Path]()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    def start(self) -> None:
        """Returns once the server answers. Raises RuntimeError with its log where it ends before."""
        for name in ("input", "output", "user", "temp", "models"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        extra = self.folder / "extra_model_paths.yaml"
        extra.write_text(f"tests:\n  base_path: {self.models}\n  motionstream: motionstream\n  loras: loras\n", "utf-8")
        pack, *others = [self._link(each) for each in (ROOT, *self._beside)]
        options = (self.checkout / "comfy" / "cli_args.py").read_text("utf-8")
        wanted = ["--listen", "127.0.0.1", "--port", str(self.port), "--disable-auto-launch"]
        wanted += ["--extra-model-paths-config", str(extra)]
        for name in ("input", "output", "user", "temp"):
            wanted += [f"--{name}-directory", str(self.folder / name)]
        if "--database-url" in options:
            wanted += ["--database-url", f"sqlite:///{self.folder / 'user' / 'comfyui.db'}"]
        if "--whitelist-custom-nodes" in options:  # other packs are not under test, nor waited for
            wanted += [
                "--disable-all-custom-nodes",
                "--whitelist-custom-nodes",
                *(each.name for each in (pack, *others)),
            ]
        if "--disable-api-nodes" in options:
            wanted.append("--disable-api-nodes")
        if not self._has_gpu:
            wanted.append("--cpu")
        # Byte code outside the checkout, and already there: the import is timed as on any start but the first.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(self.folder / "pycache"), "PYTHONUNBUFFERED": "1"}
        environment |= {"PIP_NO_INDEX": "1", "HF_HUB_OFFLINE": "1"}
        sources = [str(pack / "__init__.py"), str(pack / "nodes"), str(pack / "motionstream_core")]
        subprocess.run([self.python, "-m", "compileall", "-q", *sources], env=environment, check=True)
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [self.python, "main.py", *wanted],
                cwd=self.checkout,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            try:
                self.get("/system_stats")
                return
            except (urllib.error.URLError, ConnectionError):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"ComfyUI did not start:\n{self.log()[-4000:]}") from None
                time.sleep(0.5)

    def stop(self) -> None:
        """End the server and take the links away that `start` made."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for link in self._own_links:
            link.unlink()

    def kill(self) -> None:
        """End the server as a power cut would; `start` begins another one at the same address."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def get(self, path: str) -> Any:
        """The JSON at `path`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return json.load(answer)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Post JSON. Raises RefusedError with the host's answer where it does not take it."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                content = answer.read()
                return json.loads(content) if content else None
        except urllib.error.HTTPError as error:
            raise RefusedError(json.loads(error.read())) from None

    def queue(self, prompt: dict[str, Any]) -> str:
        """The id of a prompt put in the queue; no browser is named."""
        return self.post("/prompt", {"prompt": prompt})["prompt_id"]

    def wait(self, prompt_id: str, limit_s: float = 300.0) -> dict[str, Any]:
        """The history entry of a prompt once it has ended, however it ended."""
        deadline = time.monotonic() + limit_s
        while True:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return history[prompt_id]
            if time.monotonic() > deadline:
                raise TimeoutError(f"the prompt has not ended after {limit_s} s:\n{self.log()[-3000:]}")
            time.sleep(0.05)

    def run(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """The outputs of a prompt by node id. Raises AssertionError with the host's words where it failed."""
        entry = self.wait(self.queue(prompt))
        assert entry["status"]["status_str"] == "success", self.error_of(entry)
        return entry["outputs"]

    def error(self, prompt: dict[str, Any]) -> str:
        """The message with which a prompt fails."""
        return self.error_of(self.wait(self.queue(prompt)))

    @staticmethod
    def error_of(entry: dict[str, Any]) -> str:
        """The exception's message in a history entry, "" where there is none."""
        messages = [body for kind, body in entry["status"]["messages"] if kind == "execution_error"]
        return messages[0]["exception_message"] if messages else ""

    def log(self) -> str:
        """What the server has written so far, without colours."""
        return COLOR_CODES.sub("", self._log_path.read_text("utf-8", errors="replace"))

    def wait_for_log(self, words: str, start: int, limit_s: float = 120.0) -> None:
        """Returns once `words` stand in the log after position `start`."""
        deadline = time.monotonic() + limit_s
        while words not in self.log()[start:]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{words!r} is not in the log:\n{self.log()[start:]}")
            time.sleep(0.05)

    def memory_mib(self) -> float:
        """Memory of the server process."""
        assert self._process is not None
        done = subprocess.run(["ps", "-o", "rss=", "-p", str(self._process.pid)], capture_output=True, check=True)
        return int(done.stdout) / 1024

    def _link(self, pack: Path) -> Path:
        """A pack among the custom nodes, linked for the time of the tests unless it is there already."""
        custom_nodes = self.checkout / "custom_nodes"
        for entry in custom_nodes.iterdir():
            if entry.resolve() == pack.resolve():
                return entry
        link = custom_nodes / (LINK_NAME if pack == ROOT else f"{pack.name}_beside_it")
        if link.is_symlink():  # tests that were killed left it
            link.unlink()
        link.symlink_to(pack, target_is_directory=True)
        self._own_links.append(link)
        return link


class RefusedError(Exception):
    """The host did not take a prompt; `answer` is what it said."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(json.dumps(answer)[:2000])
        self.answer = answer

    def details(self) -> str:
        """The words of every node's error."""
        errors = [error for node in self.answer["node_errors"].values() for error in node["errors"]]
        return "\n".join(f"{error['message']}: {error['details']}" for error in errors)


def with_checkpoints(prompt: dict[str, Any], checkpoints: dict[str, str]) -> dict[str, Any]:
    """`prompt`, changed: its loaders load what `checkpoints` names in place of the bundled files."""
    for node in prompt.values():
        name = node["inputs"].get("checkpoint")
        if isinstance(name, str) and name.startswith("bundled/"):
            node["inputs"]["checkpoint"] = checkpoints[name.removeprefix("bundled/")]
    return prompt


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def host_python() -> str:
    """The Python that has ComfyUI's requirements."""
    return os.environ.get("COMFYUI_PYTHON", sys.executable)


def need_browser() -> None:
    """Skip, and say why, where there is nothing to drive a browser with."""
    if shutil.which("node") is None or not (ROOT / "node_modules" / "playwright-core").is_dir():
        pytest.skip("node and playwright-core are needed to drive a browser: run npm ci")
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("there is no Chromium to drive")


def browse(script: Path, host: ComfyHost, *arguments: object, limit_s: float = 600) -> Any:
    """What a script that drives a browser in front of the host prints as JSON."""
    need_browser()
    command = ["node", str(script), str(host.port), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=limit_s, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
