"""The same random inputs in every run, so that docs/parity.md can quote the errors."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
