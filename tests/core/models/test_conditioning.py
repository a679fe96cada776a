"""Which condition goes into which channels, and the bundled model's words."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from motionstream_core.models.conditioning import (
    Conditions,
    InputLayout,
    assemble,
    batch_conditions,
    batch_contexts,
    first_frame_mask,
)
from motionstream_core.models.wan import CrossContext, WanConfig, WanModel
from motionstream_core.models.word_encoder import WordEncoder

NO_TEXT = CrossContext(())
WIDTHS = {"noise": 3, "mask": 4, "image": 2, "track": 5, "control": 6}


def filled(channels: int, value: float, num_frames: int = 2) -> Tensor:
    return torch.full((1, channels, num_frames, 2, 2), value)


def conditions(**changes: Tensor | None) -> Conditions:
    given = {"mask": filled(4, 2.0), "image": filled(2, 3.0), "track": filled(5, 4.0)} | changes
    return Conditions(NO_TEXT, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kinds", "values"),
    [
        (["noise"], [1] * 3),
        (["noise", "mask", "image", "track"], [1] * 3 + [2] * 4 + [3] * 2 + [4] * 5),
        (["track", "noise", "image"], [4] * 5 + [1] * 3 + [3] * 2),
        (["mask", "track", "noise"], [2] * 4 + [4] * 5 + [1] * 3),
        (["noise", "control", "image"], [1] * 3 + [0] * 6 + [3] * 2),  # no control video
    ],
)
def test_channels_come_in_the_layouts_order(kinds: list[str], values: list[int]) -> None:
    layout = InputLayout(tuple((kind, WIDTHS[kind]) for kind in kinds))  # type: ignore[misc]
    assert layout.num_channels == len(values)
    joined = assemble(layout, filled(3, 1.0), conditions())
    assert torch.equal(joined, torch.tensor(values).float().view(1, -1, 1, 1, 1).expand(1, -1, 2, 2, 2))
    assert [layout.width(kind) for kind in WIDTHS] == [WIDTHS[kind] * (kind in kinds) for kind in WIDTHS]  # type: ignore[arg-type]


def test_all_takes_the_noises_dtype() -> None:
    layout = InputLayout((("track", 5), ("noise", 3)))
    assert assemble(layout, filled(3, 1.0).bfloat16(), conditions()).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", ["mask", "image", "track"])
def test_a_slot_without_its_condition_is_named(kind: str) -> None:
    layout = InputLayout(tuple(WIDTHS.items()))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"'{kind}' is missing; this model takes {WIDTHS[kind]} channels"):
        assemble(layout, filled(3, 1.0), conditions(**{kind: None}))
    with pytest.raises(ValueError, match=f"'{kind}' has 7 channels; this model takes {WIDTHS[kind]}"):
        assemble(layout, filled(3, 1.0), conditions(**{kind: filled(7, 0.0)}))


def test_noise_of_another_width_is_named() -> None:
    with pytest.raises(ValueError, match="'noise' has 4 channels; this model takes 3"):
        assemble(InputLayout((("noise", 3),)), filled(4, 1.0), conditions())


def test_a_layout_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="'depth' is unknown; known are noise, mask, image, track"):
        InputLayout((("noise", 3), ("depth", 1)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must hold 'noise' and none twice"):
        InputLayout((("mask", 4),))
    with pytest.raises(ValueError, match="must hold 'noise' and none twice"):
        InputLayout((("noise", 3), ("track", 1), ("track", 1)))


@pytest.mark.parametrize("first", [0, 1, 3])
def test_the_mask_marks_the_clips_first_latent_frame(first: int) -> None:
    like = torch.zeros(1, dtype=torch.bfloat16)
    whole = first_frame_mask(6, 2, 3, like)
    assert whole.dtype == torch.bfloat16
    assert whole.sum((0, 1, 3, 4)).tolist() == [4 * 2 * 3, 0, 0, 0, 0, 0]
    assert torch.equal(first_frame_mask(3, 2, 3, like, first), whole[:, :, first : first + 3])


def test_without_motion_is_a_zero_map() -> None:
    given = conditions()
    still = given.without_motion()
    assert still.track is not None and given.track is not None
    assert torch.equal(still.track, torch.zeros_like(given.track))
    assert still.image is given.image and still.mask is given.mask and still.context is given.context
    assert conditions(track=None).without_motion().track is None
    other = CrossContext(((torch.zeros(1), torch.zeros(1)),))
    assert given.with_context(other).context is other
    assert given.with_context(other).track is given.track


@pytest.mark.parametrize("image_dim", [None, 6])
@torch.no_grad()
def test_joined_contexts_give_each_pass_its_own_prompt(image_dim: int | None) -> None:
    torch.manual_seed(0)
    config = WanConfig(
        12, 16, 1, 2, in_channels=4, out_channels=4, freq_dim=8, text_dim=5, text_len=3, image_dim=image_dim
    )
    model = WanModel(config)
    latents, steps = torch.randn(3, 4, 2, 2, 2), torch.tensor([10.0, 500.0, 900.0])
    image = None if image_dim is None else torch.randn(3, 4, image_dim)
    contexts = [
        model.prepare_context(torch.randn(1, 2, 5), None if image is None else image[b : b + 1]) for b in range(3)
    ]
    together = model(latents, steps, batch_contexts(contexts))
    for b, context in enumerate(contexts):
        alone = model(latents[b : b + 1], steps[b : b + 1], context)
        torch.testing.assert_close(together[b : b + 1], alone, rtol=1e-5, atol=1e-5)
    swapped = model(latents, steps, batch_contexts(contexts[::-1]))
    assert (swapped[0] - together[0]).abs().max() > 1e-3


def test_joined_conditions_stack_along_the_batch() -> None:
    joined = batch_conditions([conditions(), conditions(track=filled(5, 9.0))])
    assert joined.track is not None and joined.mask is not None
    assert joined.track[:, 0, 0, 0, 0].tolist() == [4, 9]
    assert joined.mask.shape[0] == 2
    assert joined.clean_first is None
    with pytest.raises(ValueError, match="'track' is missing in 1 of 3 runs"):
        batch_conditions([conditions(), conditions(track=None), conditions()])


@pytest.fixture
def words() -> WordEncoder:
    torch.manual_seed(0)
    return WordEncoder(["a", "red", "ball", "rolls", ",", "don't"], text_dim=6, max_words=5)


def test_a_word_and_its_place_make_the_embedding(words: WordEncoder) -> None:
    assert words.tokenize(["A red ball", "ball, DON'T"]).tolist() == [[1, 2, 3, 0, 0], [3, 5, 6, 0, 0]]
    encoded = words.encode(["a red ball", "ball"])
    assert encoded.shape == (2, 5, 6)
    assert torch.equal(encoded[0, 2], words.embedding.weight[3] + words.position[2])
    assert torch.equal(encoded[1, 0], words.embedding.weight[3] + words.position[0])
    assert torch.equal(encoded[0, 3:], torch.zeros(2, 6))


@pytest.mark.parametrize("prompt", ["", "   "])
def test_the_empty_prompt_is_zero(words: WordEncoder, prompt: str) -> None:
    assert torch.equal(words.encode([prompt]), torch.zeros(1, 5, 6))


def test_a_word_that_is_not_known_is_named(words: WordEncoder) -> None:
    with pytest.raises(ValueError, match=r"'a blue cube': unknown words blue, cube; .*knows a red ball rolls"):
        words.encode(["a red ball", "a blue cube"])
    with pytest.raises(ValueError, match="has 6 words; this small model reads 5"):
        words.encode(["a red red red red ball"])
