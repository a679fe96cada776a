"""`python -m motionstream_core`, or `motionstream` once it is installed: every command of this project."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .entry import Place, enter_tree

COMMANDS = {
    "render": Place("motionstream_core.commands.render:COMMAND", "image, tracks and prompt to an mp4"),
    "queue": Place("motionstream_core.commands.queue:COMMAND", "a table of renders, over one ComfyUI or several"),
    "live": Place("motionstream_core.commands.live:COMMAND", "a page on which a stream is steered by hand"),
    "evaluate": Place("motionstream_core.commands.evaluate:COMMAND", "judge a model on a folder of clips"),
    "vaes": Place("motionstream_core.commands.vaes:COMMAND", "VAEs side by side on a folder of clips"),
    "inspect": Place("motionstream_core.checkpoints.command:INSPECT", "say what a file of weights is"),
    "convert": Place("motionstream_core.checkpoints.command:CONVERT", "write the same weights in another layout"),
    "train": Place("motionstream_core.training.command:COMMAND", "train the bundled model or Wan, stage by stage"),
    "demo": Place("motionstream_core.demo.command:COMMAND", "run the bundled model on a picture"),
    "doctor": Place(
        "motionstream_core.commands.doctor:COMMAND", "say what this machine has: versions, devices, memory"
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`entry`)."""
    return enter_tree("motionstream", "Streaming video from an image, a prompt and trajectories.", COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
