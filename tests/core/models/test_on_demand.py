"""Weights that wait on the CPU: the same output, all at home afterwards, one layer away at a time."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from motionstream_core.models.offload import place, weight_bytes

CPU = torch.device("cpu")


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 4)).requires_grad_(False)


def test_bytes_count_tied_weights_once() -> None:
    model = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)])
    model[1].weight = model[0].weight
    assert weight_bytes(model) == 4 * 4 * 4


# sizes: embedding 160, first linear 576, second 272 bytes
@pytest.mark.parametrize(("budget", "waiting"), [(None, 0), (0, 1008), (160, 848), (440, 576), (5000, 0)])
def test_what_fits_the_budget_stays_and_the_rest_waits(budget: int | None, waiting: int) -> None:
    model, tokens = net(), torch.tensor([[0, 3, 4]])
    expected = copy.deepcopy(model)(tokens)
    assert place(model, CPU, budget) == waiting
    torch.testing.assert_close(model(tokens), expected, rtol=0, atol=0)


def test_one_layer_is_away_at_a_time_and_comes_home() -> None:
    model = net()
    place(model, CPU, 0)
    homes = {name: own.data_ptr() for name, own in model.named_parameters()}
    away: list[set[str]] = []

    def look(*_: object) -> None:
        away.append({name for name, own in model.named_parameters() if own.data_ptr() != homes[name]})

    for layer in model:
        layer.register_forward_pre_hook(look)  # after the hook that brings the weights
    model(torch.tensor([[1]]))
    assert away == [{"0.weight"}, {"1.weight", "1.bias"}, set(), {"3.weight", "3.bias"}]
    assert {name: own.data_ptr() for name, own in model.named_parameters()} == homes


def test_weights_come_home_when_a_layer_fails() -> None:
    model = net()
    place(model, CPU, 0)
    homes = {name: own.data_ptr() for name, own in model.named_parameters()}
    with pytest.raises(RuntimeError):
        model[1](torch.zeros(1, 3))
    assert {name: own.data_ptr() for name, own in model.named_parameters()} == homes
