"""Run by the host's Python, in its checkout: TRACKS given to nodes of others, which need no server for it.

Arguments: a file of torch.save with {"track_path", "track_visibility"} of frames of `width` x `height` px, width,
height, and where the results go: {"features", "ranges"}, "ranges" only where KJNODES_PATH names a checkout of KJNodes.
"""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from typing import Any

sys.argv, given = sys.argv[:1], sys.argv[1:]  # ComfyUI reads the command line where it is imported
sys.path.insert(0, os.getcwd())

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
sys.argv.append("--cpu")

import torch  # noqa: E402
from comfy_api.latest import io  # noqa: E402

RANGES = ((2, 3), (-4, 10), (0, 100))


class NumberedCells:
    """Stands in for a VAE: latent frame 0 numbers its cells from 1, every other one is 0."""

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        length, height, width, _ = frames.shape
        latents = torch.zeros(1, 16, (length - 1) // 4 + 1, height // 8, width // 8)
        latents[0, :, 0] = torch.arange(1, latents[0, 0, 0].numel() + 1).reshape(height // 8, width // 8)
        return latents


def features(tracks: dict[str, torch.Tensor], width: int, height: int) -> torch.Tensor:
    """Channel 0 of what WanMoveTrackToVideo makes of numbered cells: where each cell is moved to, (f h w)."""
    from comfy_extras.nodes_wanmove import WanMoveTrackToVideo

    length = len(tracks["track_path"])
    words = [[torch.zeros(1, 1), {}]]
    output = WanMoveTrackToVideo.execute(
        words, words, NumberedCells(), width, height, length, 1, 1.0, tracks, torch.zeros(1, height, width, 3)
    )
    return output.args[0][0][1]["concat_latent_image"][0, 0]


def ranges(tracks: dict[str, torch.Tensor], checkout: Path) -> list[dict[str, torch.Tensor]]:
    """What KJNodes' GetTrackRange gives; the class alone is taken out of its file, whose imports need far more."""
    source = (checkout / "nodes" / "nodes.py").read_text("utf-8")
    node = next(n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == "GetTrackRange")
    names: dict[str, Any] = {"io": io, "torch": torch}
    exec(compile(ast.Module([node], []), "GetTrackRange", "exec"), names)
    return [names["GetTrackRange"].execute(tracks, *each).args[0] for each in RANGES]


if __name__ == "__main__":
    tracks = torch.load(given[0], weights_only=True)
    results: dict[str, Any] = {}
    results["features"] = features(tracks, int(given[1]), int(given[2]))
    if os.environ.get("KJNODES_PATH"):
        results["ranges"] = ranges(tracks, Path(os.environ["KJNODES_PATH"]))
    torch.save(results, given[3])
