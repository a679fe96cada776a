"""What /object_info tells of a node's inputs, and a cell's value as one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Info = Mapping[str, Any]
"""Of one class of node, as ComfyUI's /object_info has it."""
_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")
_MOST_SHOWN = 8


def fitting(info: Info, name: str, value: Any, any_option: bool = False) -> Any:
    """`value`, a cell's text or JSON, as the node's input `name` takes it.

    any_option: for inputs that name a file which is not there yet. Raises ValueError with what would fit.
    """
    kind, limits = _input(info, name)
    if kind == "INT":
        return _within(_whole(value), limits)
    if kind == "FLOAT":
        return _within(_real(value), limits)
    if kind == "BOOLEAN":
        return _truth(value)
    if kind == "STRING":
        if not isinstance(value, str):
            raise ValueError(f"it takes text, not {value!r}")
        return value
    if isinstance(kind, list) or kind == "COMBO":
        options = kind if isinstance(kind, list) else limits.get("options", [])
        return value if any_option else _option(value, options)
    raise ValueError(f"it takes what another node gives ({kind}), which no cell can say")


def _input(info: Info, name: str) -> tuple[Any, Mapping[str, Any]]:
    groups = info.get("input", {})
    inputs = {**groups.get("required", {}), **groups.get("optional", {})}
    if name not in inputs:
        raise ValueError(f"the node has no such input; it has {', '.join(inputs) or 'none'}")
    kind, *rest = inputs[name]
    return kind, rest[0] if rest else {}


def _whole(value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise ValueError
        if isinstance(value, float):
            if not value.is_integer():
                raise ValueError
            return int(value)
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"it takes a whole number, not {value!r}") from None


def _real(value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
        return number
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"it takes a number, not {value!r}") from None


def _within(number: float, limits: Mapping[str, Any]) -> Any:
    least, most = limits.get("min"), limits.get("max")
    if (least is not None and number < least) or (most is not None and number > most):
        raise ValueError(f"{number} is not in the range {least} to {most}")
    return number


def _truth(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise ValueError(f"it takes true or false, not {value!r}")
    return text in _TRUE


def _option(value: Any, options: list[Any]) -> Any:
    for option in options:
        if value == option or (isinstance(value, str) and value == str(option)):
            return option
    shown = ", ".join(map(str, options[:_MOST_SHOWN])) + (", ..." if len(options) > _MOST_SHOWN else "")
    raise ValueError(f"{value!r} is none of its options: {shown}")
