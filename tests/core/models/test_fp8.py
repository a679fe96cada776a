"""Products in fp8 against fp64 over a hand-written list of e4m3's numbers; a stream in fp8 beside the same in bf16."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from motionstream_core.checkpoints.fingerprint import fingerprint
from motionstream_core.checkpoints.load import load_model
from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import STUDENT
from motionstream_core.models.fp8 import CHANGED, Arithmetic, Fp8Linear, require_fp8, to_fp8
from motionstream_core.models.offload import place, weight_bytes
from motionstream_core.models.wan import WanConfig, WanModel
from motionstream_core.streaming.render.renderer import open_renderer

FRAMES, LEAST_DB = 25, 40.0
CONFIG = WanConfig(dim=32, ffn_dim=48, num_heads=2, num_layers=2, freq_dim=16, text_dim=8, text_len=5)


def e4m3_sizes() -> list[float]:
    """All 127 finite ones: 4 bits of exponent, bias 7, and 3 of mantissa (arXiv 2209.05433, table 1)."""
    sizes = [mantissa / 8 * 2.0**-6 for mantissa in range(8)]
    sizes += [(1 + mantissa / 8) * 2.0 ** (exponent - 7) for exponent in range(1, 16) for mantissa in range(8)]
    assert sizes.pop() == 480  # whose bits mean "no number"
    return sizes


def nearest(x: Tensor) -> Tensor:
    """The e4m3 number next to each of x (float64); in the middle of two, the one whose last bit is 0."""
    sizes = e4m3_sizes()
    even_first = torch.tensor(sizes[::2] + sizes[1::2], dtype=torch.float64)
    return x.sign() * even_first[(x.abs()[..., None] - even_first).abs().argmin(dim=-1)]


def by_rows(x: Tensor) -> Tensor:
    """x (n d) as rows in e4m3, each times the least power of two by which it is no larger than 448; float64."""
    scale = torch.exp2(torch.ceil(torch.log2(x.double().abs().amax(dim=-1, keepdim=True) / 448)))
    return nearest(x.double() / scale) * scale


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-4), (torch.bfloat16, 4e-3)])
def test_the_product_is_that_of_rounded_rows(dtype: torch.dtype, allowed: float) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 48).to(dtype).requires_grad_(False)
    linear.weight *= torch.logspace(-3, 3, 48)[:, None]  # each row, and each token, of a size of its own
    x = (torch.randn(2, 21, 64) * torch.logspace(-2, 4, 21)[:, None]).to(dtype)
    made = Fp8Linear(linear)(x)
    assert made.shape == (2, 21, 48) and made.dtype == dtype
    expected = by_rows(x.flatten(0, 1)) @ by_rows(linear.weight).T + linear.bias.double()
    exact = x.flatten(0, 1).double() @ linear.weight.double().T + linear.bias.double()
    size = x.flatten(0, 1).double().norm(dim=-1)[:, None] * linear.weight.double().norm(dim=-1)
    apart = ((made.flatten(0, 1).double() - expected).abs() / (size + linear.bias.abs())).max()
    assert apart < allowed  # bf16 is rounded to once more with the bias
    assert ((expected - exact).abs() / size).max() > 2 * allowed  # fp8 itself is seen


def test_a_row_of_zeros_is_zero() -> None:
    linear = nn.Linear(16, 16, bias=False).requires_grad_(False)
    assert not Fp8Linear(linear)(torch.zeros(3, 16)).any()


def test_what_is_no_number_stays_none() -> None:
    linear = nn.Linear(16, 16).requires_grad_(False)
    x = torch.ones(3, 16)
    x[0, 3], x[1, 5] = torch.nan, torch.inf
    assert Fp8Linear(linear)(x).isnan().any(dim=-1).tolist() == [True, True, False]


def narrow() -> WanModel:
    torch.manual_seed(1)
    return WanModel(CONFIG).eval().requires_grad_(False).bfloat16()


def test_the_blocks_large_layers_are_changed_and_no_others() -> None:
    plain, model = narrow(), narrow()
    to_fp8(model)
    changed = {name for name, each in model.named_modules() if isinstance(each, Fp8Linear)}
    assert changed == {f"blocks.{index}.{name}" for index in range(2) for name in CHANGED} and len(CHANGED) == 8
    for name, each in plain.named_parameters():
        if name.rpartition(".")[0] not in changed:
            assert torch.equal(model.get_parameter(name), each), name
    matrices = sum(plain.get_submodule(name).weight.numel() for name in changed)
    rows = sum(plain.get_submodule(name).weight.shape[0] for name in changed)
    assert weight_bytes(plain) - weight_bytes(model) == matrices - 4 * rows


def test_waiting_weights_compute_the_same() -> None:
    linear = nn.Linear(32, 48).requires_grad_(False)
    model = nn.Sequential(Fp8Linear(linear))
    x = torch.randn(5, 32)
    expected = copy.deepcopy(model)(x)
    assert place(model, torch.device("cpu"), budget_bytes=0) == 32 * 48 + 48 * (4 + 4)
    assert torch.equal(model(x), expected)


def streamed(arithmetic: Arithmetic) -> Tensor:
    """Frames of the demo's example by the bundled student in bf16."""
    renderer = open_renderer(STUDENT, dtype=torch.bfloat16, arithmetic=arithmetic)
    example = drawn_example(FRAMES)
    image = torch.from_numpy(example.image.copy()).permute(2, 0, 1).float() / 255
    (prompt,) = renderer.encode([example.prompt], [image])
    return torch.cat(list(renderer.video(prompt, image, example.tracks, FRAMES)))


def test_a_stream_is_like_that_in_bf16() -> None:
    plain, fp8 = streamed("plain"), streamed("fp8")
    decibel = -10 * math.log10((plain - fp8).square().mean().item())
    assert LEAST_DB < decibel < 80  # and not the same stream


def test_a_saved_stream_names_the_checkpoints_own_weights() -> None:
    renderer = open_renderer(STUDENT, dtype=torch.bfloat16, arithmetic="fp8")
    assert renderer.maker("shapes").weights == fingerprint(load_model(STUDENT).model.state_dict())


@pytest.mark.parametrize(
    ("device", "dtype", "words"),
    [
        ("mps", torch.bfloat16, "needs an NVIDIA GPU, and this device is mps"),
        ("cuda", torch.bfloat16, "needs a GPU of compute capability 8.9 or higher .* has 8.6"),
        ("cuda:1", torch.float16, "makes bfloat16 on a GPU, .* torch.float16"),
    ],
)
def test_devices_without_it_are_refused(
    device: str, dtype: torch.dtype, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    capabilities = {None: (8, 6), 1: (9, 0)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capabilities[device.index])
    with pytest.raises(ValueError, match=f"arithmetic: fp8 {words}.*; take 'plain'"):
        require_fp8(torch.device(device), dtype)
    require_fp8(torch.device("cuda:1"), torch.bfloat16)
    require_fp8(torch.device("cpu"), torch.float32)
    with pytest.raises(ValueError, match="bfloat16 or float32 on a CPU"):
        require_fp8(torch.device("cpu"), torch.float16)


def test_odd_matrices_are_refused() -> None:
    model = WanModel(WanConfig(dim=24, ffn_dim=48, num_heads=2, num_layers=1, freq_dim=16, text_dim=8, text_len=5))
    with pytest.raises(ValueError, match=r"multiples of 16, and this model's blocks\.0\.self_attn\.q is 24 x 24"):
        to_fp8(model)
