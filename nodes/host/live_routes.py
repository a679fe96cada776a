"""Live streams in the host: their WebSocket on its server, and telling its page of them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import folder_paths
from server import PromptServer

from ...motionstream_core.live.server import ROUTE, LiveHub

EVENT = "motionstream.live"
HUB = LiveHub()


def add_routes() -> None:
    """Called once, when the pack is loaded; there is no server where a host only lists nodes."""
    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.routes.get(ROUTE)(HUB.socket)


def tell_client(node: str, session: str, state: str) -> None:
    """Tell the client that queued the running job, and no other, of its stream."""
    server = PromptServer.instance
    if server.client_id is not None:
        server.send_sync(EVENT, {"node": node, "session": session, "state": state}, server.client_id)


def waiting_jobs() -> int:
    """Jobs of the queue beside the running one."""
    return max(0, PromptServer.instance.prompt_queue.get_tasks_remaining() - 1)


def view_url(path: Path) -> str:
    """Where the host's page finds a file of the output folder."""
    below = path.relative_to(folder_paths.get_output_directory())
    return f"/view?filename={quote(below.name)}&subfolder={quote(below.parent.as_posix())}&type=output"
