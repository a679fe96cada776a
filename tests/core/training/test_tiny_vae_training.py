"""Stage tiny-vae: its losses against plain autograd, what is trained and what is not, and going on bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionstream_core.evaluation.perceptual import Lpips
from motionstream_core.media.video_file import VideoFile
from motionstream_core.models.vae.tiny_vae import TinyVae, TinyVaeConfig
from motionstream_core.training.data.vae_clips import (
    HELD_OUT_INDEX,
    ClipSource,
    CropShape,
    VaeClip,
)
from motionstream_core.training.engine.engine import Compute, Engine, TrainingDiverged
from motionstream_core.training.engine.log import Log
from motionstream_core.training.engine.optimizers import OptimizerSettings
from motionstream_core.training.stages.tiny_vae.discriminator import (
    DiscriminatorConfig,
    PatchDiscriminator,
    SpectralConv,
    adaptive_weight,
    discriminator_loss,
)
from motionstream_core.training.stages.tiny_vae.stage import (
    PAPER_DECODER,
    TinyVaeTraining,
    train_tiny_vae,
    train_video_decoder,
    train_world_vae,
)
from motionstream_core.training.stages.tiny_vae.start import (
    BUNDLED_VAE,
    WIDE_DECODER,
    WIDE_ENCODER,
    widen,
)
from motionstream_core.training.stages.tiny_vae.step import (
    TinyVaeStep,
    detail_map,
    latent_noise,
    reconstruction_loss,
)

TINY = TinyVaeConfig(
    latent_channels=4,
    patch_size=2,
    decoder_widths=(12, 8, 8, 6),
    encoder_width=8,
    decoder_space_upscale=(True, True, False),
    encoder_space_downscale=(False, True, True),
)
SMALL_JUDGE = DiscriminatorConfig(width=4, num_halvings=1)
ADVERSARIAL = TinyVaeTraining(
    trains="decoder",
    num_steps=4,
    batch_size=2,
    num_frames=5,
    crop_px=16,
    warmup_steps=1,
    latent_noise=0.1,
    adversarial_weight=0.5,
    adversarial_start=1,
    adversarial_ramp=1,
    discriminator=SMALL_JUDGE,
    ema_decay=0.9,
    num_held_out=1,
    num_workers=0,
    log_every=1,
    save_every=1,
)


class NoisyPictures:
    """Bright rectangles on noise; `broken` clips hold a value that is no number."""

    def __init__(self, shape: CropShape, broken: tuple[int, ...] = ()) -> None:
        self.shape, self.broken = shape, broken
        self.asked: list[int] = []

    def __getitem__(self, index: int) -> VaeClip:
        self.asked.append(index)
        generator = torch.Generator().manual_seed(index)
        frames = torch.rand(3, self.shape.num_frames, self.shape.size_px, self.shape.size_px, generator=generator) / 4
        frames[index % 3, :, 4:11, 3:13] += 0.7
        if index in self.broken:
            frames[0, 0, 0, 0] = torch.nan
        return VaeClip(frames, (index,))


def fp32_engine() -> Engine:
    return Engine(Compute(torch.device("cpu"), precision="fp32"))


def tiny_vae(seed: int = 0) -> TinyVae:
    torch.manual_seed(seed)
    return TinyVae(TINY)


def train(
    folder: Path,
    training: TinyVaeTraining = ADVERSARIAL,
    source: ClipSource | None = None,
    on_save: Callable[[TinyVae, int], None] | None = None,
    lines: list[str] | None = None,
) -> TinyVae:
    log = Log(folder / "log", None if lines is None else lines.append)
    return train_tiny_vae(
        training, fp32_engine(), tiny_vae(), source or NoisyPictures(training.crop), folder, log, on_save=on_save
    )


def differing(one: nn.Module, other: nn.Module) -> set[str]:
    """Names of the tensors in which two modules differ by any bit."""
    second = other.state_dict()
    return {name for name, value in one.state_dict().items() if not torch.equal(value, second[name])}


# --- the discriminator


def test_the_discriminator_learns_to_tell_sharp_from_soft() -> None:
    torch.manual_seed(0)
    model = PatchDiscriminator(DiscriminatorConfig(width=8, num_halvings=2))
    engine = fp32_engine()
    part = engine.part("discriminator", model, OptimizerSettings("adamw", 2e-3))

    def pair() -> tuple[Tensor, Tensor]:
        sharp = (torch.rand(2, 3, 5, 24, 24) > 0.5).float()
        soft = F.avg_pool3d(sharp, (1, 3, 3), 1, (0, 1, 1))
        return sharp, (soft - 0.5) * (sharp.std() / soft.std()) + 0.5

    before = discriminator_loss(*(model(frames) for frames in pair())).item()
    assert before == pytest.approx(2, abs=0.2)
    for _ in range(60):
        sharp, soft = pair()
        loss = discriminator_loss(model(sharp, refine=True), model(soft))
        model.zero_grad()
        loss.backward()
        part.optimizer.step()
    with torch.no_grad():
        sharp, soft = pair()
        assert discriminator_loss(model(sharp), model(soft)).item() < 0.6
        assert (model(sharp) > 0).float().mean() > 0.9
        assert (model(soft) < 0).float().mean() > 0.9


def test_a_layer_of_the_discriminator_has_norm_one_and_moves_only_when_told() -> None:
    torch.manual_seed(0)
    conv = SpectralConv(3, 6, time_kernel=3, stride=2)
    with torch.no_grad():
        conv.weight *= 7
    x = torch.randn(1, 3, 4, 8, 8)
    norm = torch.linalg.matrix_norm(conv.weight.flatten(1), ord=2)
    expected = F.conv3d(x, conv.weight / norm, conv.bias, (1, 2, 2), (1, 1, 1))
    before = conv.left.clone()
    conv(x, refine=False)
    assert torch.equal(conv.left, before)
    for _ in range(300):
        conv(x, refine=True)
    torch.testing.assert_close(conv(x, refine=False), expected)
    # Scaling the weight changes nothing, so its gradient is at right angles to it.
    conv(x, refine=False).square().sum().backward()
    assert conv.weight.grad is not None
    along = (conv.weight.grad * conv.weight).sum() / (conv.weight.grad.norm() * conv.weight.norm())
    assert abs(along.item()) < 1e-3


@pytest.mark.parametrize(("num_halvings", "patch_px"), [(1, 16), (2, 34), (3, 70)])
def test_patches_are_as_large_as_said(num_halvings: int, patch_px: int) -> None:
    model = PatchDiscriminator(DiscriminatorConfig(width=2, num_halvings=num_halvings, time_kernel=1))
    frames = torch.rand(1, 3, 1, 96, 96, requires_grad=True)
    scores = model(frames)
    scores[0, 0, 0, scores.shape[3] // 2, scores.shape[4] // 2].backward()
    assert frames.grad is not None
    rows = frames.grad[0, :, 0].abs().sum((0, 2)).nonzero()[:, 0]
    assert rows.max() - rows.min() + 1 == patch_px


def test_the_adaptive_weight_is_the_ratio_of_the_layers_gradients() -> None:
    torch.manual_seed(0)
    layer, inputs = nn.Conv2d(4, 6, 3, padding=1), torch.randn(5, 4, 7, 8)
    output = layer(inputs)
    one, other = output.square().sum(), output.abs().mean()
    norms = [torch.autograd.grad(loss, layer.weight, retain_graph=True)[0].norm() for loss in (one, other)]
    towards = [torch.autograd.grad(loss, output, retain_graph=True)[0] for loss in (one, other)]
    actual = adaptive_weight(layer, inputs, towards[0], towards[1])
    torch.testing.assert_close(actual, norms[0] / norms[1], rtol=1e-3, atol=0)


# --- one step


def test_the_decoders_gradient_is_that_of_the_plain_sum_of_losses() -> None:
    training = replace(ADVERSARIAL, adversarial_start=0, lpips_weight=0.7, latent_noise=0.0)
    torch.manual_seed(0)
    lpips, engine, vae = Lpips(), fp32_engine(), tiny_vae()
    vae.encoder.requires_grad_(False)
    judge = PatchDiscriminator(SMALL_JUDGE)
    part = engine.part("tiny_vae", vae, training.optimizer(1e-3))
    judge_part = engine.part("discriminator", judge, training.optimizer(1e-3))
    step = TinyVaeStep(engine, training, part, judge_part, NoisyPictures(training.crop), vae.encode, lpips)
    clip = step._feed.take(0, 0)
    loss = step._vae_loss(clip, 0, share=0.5)
    loss.backward()
    actual = [parameter.grad for parameter in vae.decoder.parameters()]
    assert all(parameter.grad is None for parameter in [*judge.parameters(), *vae.encoder.parameters()])

    output = vae.decode(vae.encode(clip.frames), clamp=False)
    difference = output - clip.frames
    plain = difference.abs().mean() + 2 * difference.square().mean() + 0.7 * lpips(output, clip.frames).mean()
    for dim in (-1, -2):
        plain = plain + 0.5 * (output.diff(dim=dim) - clip.frames.diff(dim=dim)).abs().mean()
    verdict = -judge(output).mean()
    last = vae.decoder[-1].weight
    assert isinstance(last, Tensor)
    lengths = [torch.autograd.grad(each, last, retain_graph=True)[0].norm() for each in (plain, verdict)]
    total = plain + 0.5 * (lengths[0] / lengths[1]).detach() * verdict
    expected = torch.autograd.grad(total, list(vae.decoder.parameters()))
    torch.testing.assert_close(loss.detach(), plain.detach())
    for one, other in zip(actual, expected, strict=True):
        assert one is not None
        torch.testing.assert_close(one, other, rtol=2e-3, atol=1e-6)


def test_an_error_beside_an_outline_counts_more() -> None:
    target = torch.full((1, 3, 2, 20, 20), 0.2)
    target[..., 10:] = 0.8
    weights = detail_map(target, 3.0)
    assert weights.shape == (1, 1, 2, 20, 20) and weights.mean().item() == pytest.approx(1)
    row = (weights / weights.min())[0, 0, 1, 5]
    assert row.tolist() == pytest.approx([1] * 7 + [4] * 5 + [1] * 8)  # the step is at column 9, 2 px to either side
    plain, detailed = (replace(ADVERSARIAL, edge_weight=0.0, detail_weight=weight) for weight in (0.0, 3.0))

    def loss(column: int, training: TinyVaeTraining) -> float:
        output = target.clone()
        output[..., 4, column] += 0.5
        return reconstruction_loss(output, target, training).item()

    assert loss(9, plain) == pytest.approx(loss(2, plain)) == pytest.approx((0.5 + 2 * 0.25) / 400)
    assert loss(9, detailed) == pytest.approx(4 * loss(2, detailed))
    assert torch.equal(detail_map(torch.full_like(target, 0.3), 3.0), torch.ones(1, 1, 2, 20, 20))


def test_a_trained_decoder_leaves_the_encoder_as_it_was(tmp_path: Path) -> None:
    trained = train(tmp_path, replace(ADVERSARIAL, ema_decay=None))
    changed = differing(tiny_vae(), trained)
    assert changed == {name for name, _ in trained.named_parameters() if name.startswith("decoder.")}
    both = train(tmp_path / "both", replace(ADVERSARIAL, trains="both", ema_decay=None))
    assert differing(tiny_vae(), both) == {name for name, _ in both.named_parameters()}


def test_what_is_returned_and_saved_is_the_average(tmp_path: Path) -> None:
    last: list[TinyVae] = []
    train(tmp_path / "last", replace(ADVERSARIAL, ema_decay=None), on_save=lambda vae, _: last.append(vae))
    saved: list[TinyVae] = []
    averaged = train(tmp_path / "averaged", on_save=lambda vae, _: saved.append(vae))
    name = "decoder.1.weight"
    expected = tiny_vae().state_dict()[name]
    for step, vae in enumerate(last, start=1):
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * vae.state_dict()[name]
        torch.testing.assert_close(saved[step - 1].state_dict()[name], expected)
    assert len(last) == 4 and not differing(averaged, saved[-1]) and differing(averaged, last[-1])


def test_the_discriminator_has_its_say_from_its_start_on(tmp_path: Path) -> None:
    lines: list[str] = []
    training = replace(ADVERSARIAL, adversarial_start=2, adversarial_ramp=4)
    train(tmp_path, training, lines=lines)
    said = ["judge_loss" in line for line in lines if line.startswith("tiny-vae-decoder")]
    assert said == [False, False, True, True]
    assert [training.adversarial_share(step) for step in range(8)] == [0, 0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    # Until then the training is the one without any discriminator.
    short = replace(training, num_steps=2, ema_decay=None, last_rate=1.0)
    without = replace(short, adversarial_weight=0.0)
    assert not differing(train(tmp_path / "with", short), train(tmp_path / "without", without))
    sooner = replace(short, adversarial_start=1)
    assert differing(train(tmp_path / "sooner", sooner), train(tmp_path / "without", without))


def test_micro_batches_change_the_result_by_no_more_than_rounding(tmp_path: Path) -> None:
    training = replace(
        ADVERSARIAL, batch_size=4, adversarial_weight=0.0, num_steps=2, ema_decay=None, weight_decay=0.0, warmup_steps=9
    )
    whole = train(tmp_path / "whole", training)
    cut = train(tmp_path / "cut", replace(training, micro_batch_size=2))
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(cut.state_dict()[name], value, rtol=1e-4, atol=2e-5)


def test_noise_belongs_to_the_clip_and_not_to_its_batch() -> None:
    together = latent_noise(torch.Size((3, 4, 2, 3, 3)), (7, 8, 9), seed=1)
    alone = latent_noise(torch.Size((1, 4, 2, 3, 3)), (8,), seed=1)
    assert torch.equal(together[1:2], alone)
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(alone, latent_noise(torch.Size((1, 4, 2, 3, 3)), (8,), seed=2))
    assert latent_noise(torch.Size((1, 4, 20, 30, 30)), (8,), seed=1).std() == pytest.approx(1, abs=0.02)


# --- the whole training


def interrupt_at(steps: int) -> Callable[[TinyVae, int], None]:
    def on_save(_: TinyVae, train_step: int) -> None:
        if train_step == steps:
            raise KeyboardInterrupt

    return on_save


@pytest.mark.parametrize(("trains", "stop"), [("decoder", 1), ("both", 3)])
def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path: Path, trains: str, stop: int) -> None:
    training = replace(ADVERSARIAL, trains=trains)  # type: ignore[arg-type]
    in_one_go = train(tmp_path / "one", training)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "two", training, on_save=interrupt_at(stop))
    source = NoisyPictures(training.crop)
    torch.manual_seed(99)  # nothing may depend on the global generator
    assert not differing(in_one_go, train(tmp_path / "two", training, source))
    assert min(index for index in source.asked if index < HELD_OUT_INDEX) == stop * training.batch_size


def test_a_short_training_brings_several_db(tmp_path: Path) -> None:
    shape = CropShape(5, 16)
    clip = NoisyPictures(shape)[1]

    class OneClip:
        def __getitem__(self, index: int) -> VaeClip:
            return VaeClip(clip.frames, (index,))

    training = TinyVaeTraining(
        num_steps=50, batch_size=1, num_frames=5, crop_px=16, learning_rate=1e-2, latent_noise=0.0, warmup_steps=5
    )
    training = replace(training, num_workers=0, log_every=25, num_held_out=1)

    def quality(vae: TinyVae) -> float:
        with torch.no_grad():
            return -10 * F.mse_loss(vae.decode(vae.encode(clip.frames[None])), clip.frames[None]).log10().item()

    lines: list[str] = []
    trained = train(tmp_path, training, OneClip(), lines=lines)
    assert quality(trained) > quality(tiny_vae()) + 5
    assert f"psnr_db={quality(trained):.5g}" in lines[-1]


def test_a_loss_that_is_no_number_stops_and_the_checkpoint_before_is_good(tmp_path: Path) -> None:
    good = train(tmp_path / "good")
    broken = NoisyPictures(ADVERSARIAL.crop, broken=(5,))  # of step 2
    with pytest.raises(TrainingDiverged, match=r"tiny-vae step 2: .*step_00000002"):
        train(tmp_path / "broken", source=broken)
    assert not differing(good, train(tmp_path / "broken"))


def test_the_bundled_recipe_trains_narrow_halves_and_then_wider_ones(tmp_path: Path) -> None:
    narrow = TinyVaeTraining(num_steps=1, batch_size=1, num_frames=1, crop_px=16, num_held_out=1, num_workers=0)
    first = train_world_vae(narrow, None, fp32_engine(), tmp_path, Log(tmp_path / "log"))
    assert first.config == BUNDLED_VAE
    wide = replace(narrow, learning_rate=1e-9)
    second = train_world_vae(narrow, wide, fp32_engine(), tmp_path, Log(tmp_path / "log"))
    assert second.config == replace(BUNDLED_VAE, decoder_widths=WIDE_DECODER, encoder_width=WIDE_ENCODER)
    frames = torch.rand(1, 3, 5, 32, 32)
    assert (first.decode(first.encode(frames)) - second.decode(second.encode(frames))).abs().max() < 1e-4
    assert {path.name for path in tmp_path.glob("*.state")} == {"tiny-vae.state", "tiny-vae-wide.state"}


@torch.no_grad()
def test_a_wider_decoder_decodes_the_same_until_it_is_trained() -> None:
    vae = tiny_vae().eval()
    wide = widen(vae, (16, 11, 9, 8))
    latents = torch.randn(2, 4, 3, 3, 4)
    expected = vae.decode(latents, clamp=False)
    torch.testing.assert_close(wide.decode(latents, clamp=False), expected, rtol=1e-5, atol=1e-6)
    assert not differing(vae.encoder, wide.encoder)
    with torch.enable_grad():
        wide.decode(latents, clamp=False).square().mean().backward()
    last = wide.decoder[-1]
    assert isinstance(last, nn.Conv2d) and last.weight.grad is not None
    assert (last.weight.grad[:, 6:].abs().amax((0, 2, 3)) > 0).any()  # what is new can be taken into use
    with pytest.raises(ValueError, match="must be at least"):
        widen(vae, (16, 7, 9, 8))


@torch.no_grad()
def test_a_wider_encoder_encodes_the_same_until_it_is_trained() -> None:
    vae = tiny_vae().eval()
    wide = widen(vae, encoder_width=11)
    assert wide.config == replace(vae.config, encoder_width=11)
    assert not differing(vae.decoder, wide.decoder)
    frames = torch.rand(2, 3, 9, 16, 32)
    torch.testing.assert_close(wide.encode(frames), vae.encode(frames), rtol=1e-5, atol=1e-6)
    with torch.enable_grad():
        wide.encode(frames).square().mean().backward()
    last = wide.encoder[-1]
    assert isinstance(last, nn.Conv2d) and last.weight.grad is not None
    assert (last.weight.grad[:, 8:].abs().amax((0, 2, 3)) > 0).any()
    with pytest.raises(ValueError, match="must be at least"):
        widen(vae, encoder_width=7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_frames": 6}, "6"),
        ({"crop_px": 20}, "multiple of 8"),
        ({"lpips_weight": 1.0}, "lpips_weight=0"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(tmp_path, replace(ADVERSARIAL, **change))  # type: ignore[arg-type]
    assert not (tmp_path / "tiny-vae-decoder.state").exists()


def test_settings_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'both' and 'decoder'"):
        TinyVaeTraining(trains="encoder")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mse_weight"):
        TinyVaeTraining(mse_weight=-1)
    both, vae = replace(ADVERSARIAL, trains="both"), tiny_vae()
    source, log = NoisyPictures(both.crop), Log(tmp_path)
    with pytest.raises(ValueError, match="trains='decoder'"):
        train_tiny_vae(both, fp32_engine(), vae, source, tmp_path, log, encode=vae.encode)

    def other_stride(frames: Tensor) -> Tensor:
        return torch.zeros(len(frames), 4, 2, 4, 4)

    with pytest.raises(ValueError, match="strides"):
        train_tiny_vae(ADVERSARIAL, fp32_engine(), vae, source, tmp_path, log, encode=other_stride)


def test_the_papers_preset_holds_the_papers_numbers() -> None:
    paper = PAPER_DECODER
    assert (paper.trains, paper.num_steps, paper.batch_size, paper.learning_rate) == ("decoder", 200_000, 16, 3e-4)
    assert (paper.num_frames, paper.crop_px) == (21, 144)
    assert paper.lpips_weight > 0 and paper.adversarial_weight > 0
    assert 0 < paper.adversarial_start < paper.num_steps


# --- other sources


def write_videos(folder: Path, sizes_px: dict[str, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    for name, size_px in sizes_px.items():
        with VideoFile(folder / f"{name}.mp4", fps=16.0) as file:
            file.push(torch.rand(12, size_px, size_px, 3, generator=generator))


def test_decoder_training_on_a_folder_of_videos(tmp_path: Path) -> None:
    write_videos(tmp_path / "videos", {"a": 32, "b": 32, "c": 32, "small": 8})
    training = replace(ADVERSARIAL, num_steps=2, adversarial_start=0)
    notes: list[str] = []
    log = Log(tmp_path / "log", notes.append)
    teacher = tiny_vae(seed=1)
    trained = train_video_decoder(
        training, fp32_engine(), tiny_vae(), teacher, tmp_path / "videos", tmp_path / "run", log
    )
    assert notes[0].startswith("3 videos, 1 skipped") and "small.mp4: 8 x 8 px, needs 16" in notes[0]
    assert not differing(tiny_vae().encoder, trained.encoder) and differing(tiny_vae().decoder, trained.decoder)
    other = train_video_decoder(
        training, fp32_engine(), tiny_vae(), tiny_vae(seed=2), tmp_path / "videos", tmp_path / "other", log
    )
    assert differing(trained.decoder, other.decoder)  # the latents are the teacher's
    with pytest.raises(FileNotFoundError, match="LPIPS needs VGG-16"):
        train_video_decoder(
            replace(training, lpips_weight=1.0),
            fp32_engine(),
            tiny_vae(),
            teacher,
            tmp_path / "videos",
            tmp_path / "run",
            log,
            vgg=tmp_path / "none.safetensors",
        )
