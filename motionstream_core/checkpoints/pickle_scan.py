"""A walk over a pickle's instructions that builds nothing, to say whether reading it would get out of hand.

A pickle of a hundred bytes can spell a tuple of tuples with 10^12 leaves, each spelled once and pointed at twice. It
takes no memory, but a dictionary that has it as a key reckons its hash leaf by leaf.
"""

from __future__ import annotations

import io
import pickletools
from typing import Any

MAX_WORK = 1_000_000  # a training state of three models of 1300 tensors takes 0.4 million
_MARK = -1
# What stands for its parts: to hash it is to hash them. Every other value counts as one leaf.
_COMPOUND = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD"}
_READ_MEMO = {"GET", "BINGET", "LONG_BINGET"}
_WRITE_MEMO = {"PUT", "BINPUT", "LONG_BINPUT"}


def scan_pickles(data: bytes, count: int) -> None:
    """Walk the first `count` pickles in `data`. Raises ValueError for broken ones and for those out of proportion."""
    stream, work = io.BytesIO(data), 0
    for _ in range(count):
        scan = _Scan()
        for code, argument, _position in pickletools.genops(stream):
            work += scan.step(code, argument)
            if work > MAX_WORK:
                raise ValueError(f"its table of contents takes more than {MAX_WORK} steps to read")


class _Scan:
    """The stack and the memo of an unpickler, with numbers of leaves in place of values."""

    def __init__(self) -> None:
        self.stack: list[int] = []
        self.memo: dict[int, int] = {}

    def step(self, code: Any, argument: Any) -> int:
        """Follow one instruction; returns its work: 1, and the leaves of what it puts on the stack."""
        name = code.name
        try:
            if name in _READ_MEMO:
                self.stack.append(self.memo[argument])
            elif name == "DUP":
                self.stack.append(self.stack[-1])
            elif name == "MARK":
                self.stack.append(_MARK)
            elif name in _WRITE_MEMO or name == "MEMOIZE":
                self.memo[len(self.memo) if name == "MEMOIZE" else argument] = self.stack[-1]
                return 1
            else:
                self._replace(name, code)
        except (IndexError, KeyError):
            raise ValueError("its instructions do not fit together") from None
        return 1 + max(self.stack[-1], 0) if self.stack else 1

    def _replace(self, name: str, code: Any) -> None:
        """Take what the instruction takes, and put what it makes."""
        taken, before = [], [each.name for each in code.stack_before]
        if "mark" in before:
            while (value := self.stack.pop()) != _MARK:
                taken.append(value)
            before = before[: before.index("mark")]
        taken += [self.stack.pop() for _ in before]
        if _MARK in taken:
            raise IndexError
        leaves = 1 + sum(taken) if name in _COMPOUND else 1
        self.stack += [leaves] * len(code.stack_after)
