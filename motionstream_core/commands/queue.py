"""`motionstream queue`: the rows of a manifest through a workflow, on one ComfyUI server or several."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from tqdm import tqdm

from ..batch.jobs import Checker, Job
from ..batch.manifest import ManifestError, read_rows
from ..batch.run import News, Patience, Run
from ..batch.server import GONE, Server
from ..batch.state import DONE, FAILED, Record, State
from ..batch.workflow import Workflow
from ..entry import Command, one_line
from ..options import real, whole
from .job_table import faults, plural, table

SUFFIX = ".queue.sqlite"
_CONNECT_S = 10.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `queue` reads."""
    parser.add_argument("manifest", type=Path, help="a .csv or .jsonl; a row is a job (docs/batch.md)")
    parser.add_argument("--workflow", type=Path, required=True, help="in API form: Workflow > Export (API)")
    parser.add_argument(
        "--server",
        type=address,
        nargs="+",
        default=["http://127.0.0.1:8188"],
        metavar="URL",
        help="ComfyUI servers that share the jobs (default: %(default)s)",
    )
    parser.add_argument("--state", type=Path, help=f"what became of each job; default: the manifest's name + {SUFFIX}")
    parser.add_argument(
        "--retries", type=whole(0, 1000), default=2, help="more attempts for a job that fails (default: 2)"
    )
    parser.add_argument(
        "--patience",
        type=real(0, 1e9),
        default=600.0,
        metavar="SECONDS",
        help="how long a server may be away before its jobs go to the others (default: 600)",
    )
    parser.add_argument("--check", action="store_true", help="check the whole manifest and send nothing")


def queue(args: argparse.Namespace) -> int:
    """`motionstream queue`. 0: every job is done; 1: some are not; 2: nothing was sent."""
    try:
        return asyncio.run(_queue(args))
    except ManifestError as error:
        return faults(error, "nothing was sent")


async def _queue(args: argparse.Namespace) -> int:
    workflow = Workflow.read(args.workflow)
    rows, wrong = read_rows(args.manifest)
    urls = list(dict.fromkeys(args.server))
    async with AsyncExitStack() as held:
        session = await held.enter_async_context(aiohttp.ClientSession())
        copies = held.enter_context(tempfile.TemporaryDirectory(prefix="motionstream_"))
        servers = [Server(url, session, uuid.uuid4().hex) for url in urls]
        infos = await _infos(servers, workflow, wrong)
        jobs = Checker(workflow, args.manifest.absolute().parent, Path(copies), infos, wrong).jobs(rows)
        if args.check:
            print(f"{len(jobs)} {plural('job', len(jobs))}, no faults; nothing was sent")
            return 0
        state = held.enter_context(closing(State(args.state or args.manifest.with_name(args.manifest.name + SUFFIX))))
        state.begin([(job.job_id, job.digest) for job in jobs], urls)
        await _run(jobs, servers, state, Patience(1 + args.retries, args.patience))
        return table([state.of(job.job_id) for job in jobs])


async def _infos(
    servers: Sequence[Server], workflow: Workflow, wrong: list[str]
) -> dict[str, dict[str, dict[str, object]]]:
    """What every server tells of the workflow's nodes. Raises ManifestError with `wrong` and all that do not."""
    told = await asyncio.gather(*(_info(each, workflow) for each in servers), return_exceptions=True)
    infos, silent = dict[str, dict[str, dict[str, object]]](), list[str]()
    for server, each in zip(servers, told, strict=True):
        if isinstance(each, ValueError):
            silent.append(str(each))
        elif isinstance(each, BaseException):
            raise each
        else:
            infos[server.url] = each
    if silent:
        raise ManifestError([*wrong, *silent])
    return infos


async def _info(server: Server, workflow: Workflow) -> dict[str, dict[str, object]]:
    try:
        if not await server.wait(_CONNECT_S):
            raise ValueError(f"--server: {server.url} does not answer; start ComfyUI there, or leave it out")
        return {kind: await server.info(kind) for kind in sorted(workflow.kinds())}
    except (*GONE, KeyError, AttributeError) as error:
        raise ValueError(f"--server: {server.url} does not answer as ComfyUI does ({type(error).__name__})") from None


async def _run(jobs: Sequence[Job], servers: Sequence[Server], state: State, patience: Patience) -> None:
    shares = {job.job_id: float(state.of(job.job_id).state == DONE) for job in jobs}
    with tqdm(total=len(jobs), initial=round(sum(shares.values())), unit="job", file=sys.stderr) as bar:

        def progress(job_id: str, share: float) -> None:
            shares[job_id] = share
            bar.n = round(sum(shares.values()), 2)
            bar.refresh()

        def record(of: Record) -> None:
            progress(of.job_id, float(of.state in (DONE, FAILED)))
            if of.error:
                bar.write(f"{of.job_id}: attempt {of.attempts}, {of.state}: {one_line(of.error)}", file=sys.stderr)

        news = News(progress, record, lambda text: bar.write(one_line(text), file=sys.stderr))
        await Run(jobs, state, patience, news).over(servers)


def address(text: str) -> str:
    """A server's address, without the / at its end. Raises argparse.ArgumentTypeError for any other text."""
    if not _is_address(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no address of a server; give one like http://127.0.0.1:8188")
    return text.rstrip("/")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and has_host and not parts.query and not parts.fragment


COMMAND = Command("A table of renders through a workflow, on one ComfyUI server or several.", add_options, queue)
