"""How long a video is to be: as its user says it, and as the connected checkpoint makes it."""

from __future__ import annotations

from dataclasses import dataclass

from comfy_api.latest import io

from ...motionstream_core.checkpoints import ModelSpec

MAX_FRAMES = 1_000_000
ANY_LENGTH = (
    "Number of frames. A checkpoint makes lengths of its own, such as 1 + 12 * k: the nearest is made, and the field "
    "goes to it where the page knows the checkpoint."
)


@dataclass(frozen=True)
class WantedLength:
    """A video's length as its user says it.

    num_frames: 0 once stood for a stream without end, and does still where no switch says anything. seconds: where it
    is above 0, it counts and not num_frames. endless: None where a workflow is older than the switch.
    """

    num_frames: int
    seconds: float = 0.0
    endless: bool | None = None

    @property
    def is_endless(self) -> bool:
        """Whether the video is to go on until it is stopped."""
        return self.num_frames == 0 and self.seconds == 0 if self.endless is None else self.endless

    def made_by(self, spec: ModelSpec, name: str, *, goes_on: bool = False) -> MadeLength:
        """What the checkpoint `name` makes of it: the nearest of its lengths. Raises ValueError for 0 frames.

        goes_on: it is the length of what follows a video, which is in whole chunks.
        """
        if self.is_endless:
            return MadeLength(None)
        if self.num_frames < 1 and self.seconds <= 0:
            raise ValueError(f"length is {self.num_frames}: give a number of frames or seconds, or turn endless on")
        asked = max(1, round(self.seconds * spec.fps)) if self.seconds > 0 else self.num_frames
        lengths = spec.chunk_lengths if goes_on else spec.lengths
        made = lengths.nearest(asked)
        told = f"{made} frame{'s' if made > 1 else ''}, {made / spec.fps:.2f} s at {spec.fps:g} frames per second"
        if made == asked:
            return MadeLength(made, told)
        words = f"{self.seconds:g} s" if self.seconds > 0 else f"{asked} frames"
        return MadeLength(made, f"{told}: the nearest to {words} that {name} makes ({lengths})")


@dataclass(frozen=True)
class MadeLength:
    """num_frames: None for no end. told: the length in words."""

    num_frames: int | None
    told: str = "until stopped"


def length_input(tooltip: str = ANY_LENGTH, *, shortest: int = 1, default: int = 49) -> io.Input:
    """The number of frames of a node that samples. Any number may be typed: the checkpoint's rule is not known here."""
    return io.Int.Input("length", default=default, min=shortest, max=MAX_FRAMES, step=1, tooltip=tooltip)


def seconds_input() -> io.Input:
    """The length in seconds, in place of frames; behind the other widgets, whose places saved workflows know."""
    return io.Float.Input(
        "seconds",
        default=0.0,
        min=0.0,
        max=100_000.0,
        step=0.25,
        optional=True,
        tooltip="The video's length in seconds, in place of length; 0: as length says. The nearest length that the "
        "checkpoint makes.",
    )


def endless_input(tooltip: str, *, default: bool = False) -> io.Input:
    """The switch for a stream without end."""
    return io.Boolean.Input("endless", default=default, optional=True, tooltip=tooltip)
