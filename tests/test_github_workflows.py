"""The workflows of .github, read as the service reads them: what they name is there, and none runs what may change."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import tomllib
import yaml

ROOT = Path(__file__).parents[1]
PLACES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
JOB_KEYS = {"runs-on", "timeout-minutes", "steps", "needs", "permissions", "environment", "env", "uses", "if"}
STEP_KEYS = {"name", "uses", "run", "with", "env", "id", "if", "shell"}
EVENTS = {"push", "pull_request", "workflow_call"}
SCOPES = {"contents": {"read", "write"}, "id-token": {"write"}}


def read(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text("utf-8"))


def jobs() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every job as (file:name, it, all of its file)."""
    for path in PLACES:
        for name, job in read(path)["jobs"].items():
            yield f"{path.name}:{name}", job, read(path)["jobs"]


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for where, job, _ in jobs():
        for number, step in enumerate(job.get("steps", ()), 1):
            yield f"{where} step {number}", step


def scripts() -> Iterator[tuple[str, str]]:
    return ((where, step["run"]) for where, step in steps() if "run" in step)


@pytest.mark.parametrize("path", PLACES, ids=lambda path: path.name)
def test_a_workflow_is_well_formed(path: Path) -> None:
    workflow = read(path)
    # YAML 1.1 reads the key `on` as true
    assert set(workflow) - {"concurrency"} == {"name", True, "permissions", "jobs"}
    assert set(workflow[True]) <= EVENTS
    for job in workflow["jobs"].values():
        assert set(job) <= JOB_KEYS
        if "uses" in job:
            assert job["uses"].startswith("./") and (ROOT / job["uses"]).is_file()
            assert "workflow_call" in read(ROOT / job["uses"])[True]
        else:
            assert job["runs-on"] == "ubuntu-latest" and 0 < job["timeout-minutes"] <= 60 and job["steps"]
        for scope, right in {**workflow["permissions"], **job.get("permissions", {})}.items():
            assert right in SCOPES[scope]


def test_jobs_wait_for_jobs_that_there_are() -> None:
    for where, job, others in jobs():
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= set(others), where


def test_what_is_published_was_tested() -> None:
    every = read(ROOT / ".github" / "workflows" / "release.yml")["jobs"]

    def before(name: str) -> set[str]:
        needs = every[name].get("needs")
        return set() if needs is None else {needs, *before(needs)}

    assert all("test" in before(name) for name in every if name != "test")


def test_a_step_runs_a_script_or_a_pinned_action() -> None:
    found = list(steps())
    assert found
    for where, step in found:
        assert set(step) <= STEP_KEYS, where
        assert ("run" in step) != ("uses" in step), where
        if "uses" in step:
            assert PINNED.fullmatch(step["uses"]), f"{where}: {step['uses']} may change; name a commit"
    for path in PLACES:
        for line in path.read_text("utf-8").splitlines():
            assert "@" not in line or "uses:" not in line or re.search(r"@[0-9a-f]{40} # v\d", line), line


def test_scripts_are_of_the_shell_and_hold_no_strangers_words() -> None:
    """A title or a branch's name that is put into a script is run as part of it; the environment is the safe way."""
    for where, script in scripts():
        assert "${{" not in script, where
        checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
        assert checked.returncode == 0, (where, checked.stderr)


def test_what_scripts_call_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
    tools = set((ROOT / "release" / "requirements.txt").read_text("utf-8").split())
    made = 0
    for where, script in scripts():
        for called in re.findall(r"^make (.+)$", script, re.M):
            assert set(called.split()) <= targets, where
            made += 1
        released = set(re.findall(r"^\s*(mike|mkdocs|comfy) ", script, re.M))
        assert released <= tools and (not released or ".venv-release/bin:$PATH" in script), where
        for name in re.findall(r"\b[\w-]+\.(?:toml|txt|py)\b", script):
            assert (ROOT / name).is_file(), where
    assert made


def test_files_and_versions_that_actions_are_given() -> None:
    floor = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
    for where, step in steps():
        given = step.get("with", {})
        if "cache-dependency-path" in given:
            assert (ROOT / given["cache-dependency-path"]).is_file(), where
        if "python-version" in given:  # as text: 3.10 is a number that ends in 1
            assert isinstance(given["python-version"], str), where
            assert tuple(map(int, given["python-version"].split("."))) >= floor, where


def test_what_is_fetched_was_kept_before() -> None:
    for path in PLACES:
        given = [step for job in read(path)["jobs"].values() for step in job.get("steps", ()) if "uses" in step]
        kept = {step["with"]["name"] for step in given if "/upload-artifact@" in step["uses"]}
        assert {step["with"]["name"] for step in given if "/download-artifact@" in step["uses"]} <= kept


def test_the_version_is_found_as_the_release_looks_for_it() -> None:
    (script,) = [script for where, script in scripts() if "pyproject.toml" in script]
    environment = {"GITHUB_REF_NAME": f"v{PROJECT['version']}", "PATH": "/usr/bin:/bin"}
    assert subprocess.run(["bash", "-ec", script], cwd=ROOT, env=environment).returncode == 0
    environment["GITHUB_REF_NAME"] += "1"
    assert subprocess.run(["bash", "-ec", script], cwd=ROOT, env=environment).returncode != 0


def test_one_repository_is_named_everywhere() -> None:
    """The addresses of pyproject.toml, the site's and the citation's are of one account and one repository."""
    repository = PROJECT["urls"]["Repository"]
    account, name = urlsplit(repository).path.strip("/").split("/")
    assert name == PROJECT["name"]
    site = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert re.search(r"^repo_url: (.+)$", site, re.M)[1] == repository
    assert re.search(r"^site_url: (.+)$", site, re.M)[1].rstrip("/") == PROJECT["urls"]["Documentation"]
    assert PROJECT["urls"]["Documentation"] == f"https://{account}.github.io/{name}"
    cited = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(r"^repository-code: (.+)$", cited, re.M)[1] == repository
    for address in (PROJECT["urls"]["Issues"], PROJECT["urls"]["Changelog"]):
        assert address.startswith(f"{repository}/")
