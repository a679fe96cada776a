"""Synthetic clips: which process makes which, what goes on after a stop, and a tiny model that makes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from motionstream_core.media.video import VideoFrames
from motionstream_core.training.data.sources import read_sources
from motionstream_core.training.data.synthesise import read_prompts, synthesise, wan_text_to_video
from tests.core.wan_folder import save_encoders, save_vae

PROMPTS = ["cat runs", "dog sits", "cat sits", "dog runs", "cat"]


def test_every_prompt_is_made_once_and_read_again_with_its_words(tmp_path: Path) -> None:
    made: list[tuple[str, int]] = []

    def generate(prompt: str, seed: int) -> Tensor:
        made.append((prompt, seed))
        if len(made) == 3:
            raise RuntimeError("the machine went off")
        return torch.full((3, 16, 16, 3), 0.5)

    with pytest.raises(RuntimeError, match="went off"):
        synthesise(PROMPTS, generate, tmp_path, 16.0, part=(0, 2))
    for index in (0, 1):
        synthesise(PROMPTS, generate, tmp_path, 16.0, part=(index, 2))
    assert made == [(PROMPTS[i], i) for i in (0, 2, 4, 4, 1, 3)]  # what was stopped is made again, all else once
    assert [(each.video.name, each.caption) for each in read_sources(tmp_path)] == [
        (f"{number:06d}.mp4", prompt) for number, prompt in enumerate(PROMPTS)
    ]
    with pytest.raises(ValueError, match="another prompt than line 2"):
        synthesise(["cat runs", "a bird"], generate, tmp_path, 16.0)


def test_lists_without_prompts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("cat runs\n\n  dog sits \n", "utf-8-sig")
    assert read_prompts(tmp_path / "prompts.txt") == ["cat runs", "dog sits"]
    (tmp_path / "empty.txt").write_text("\n", "utf-8")
    with pytest.raises(ValueError, match="holds no prompts"):
        read_prompts(tmp_path / "empty.txt")
    with pytest.raises(FileNotFoundError, match="no list of prompts"):
        read_prompts(tmp_path / "none.txt")


def test_a_model_of_diffusers_makes_the_frames_of_its_seed(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers", reason="text-to-video needs diffusers")
    save_encoders(tmp_path)
    save_vae(tmp_path)
    torch.manual_seed(2)
    diffusers.WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=16, ffn_dim=32, num_layers=1
    ).save_pretrained(tmp_path / "transformer")
    diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True).save_pretrained(
        tmp_path / "scheduler"
    )
    parts = {
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "transformer": ["diffusers", "WanTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLWan"],
        "scheduler": ["diffusers", "UniPCMultistepScheduler"],
    }
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "WanPipeline", **parts}), "utf-8")
    generate = wan_text_to_video(tmp_path, torch.device("cpu"), (32, 48), 5, num_steps=2)
    frames = generate("cat runs", 3)
    assert frames.shape == (5, 32, 48, 3) and frames.min() >= 0 and frames.max() <= 1
    assert torch.equal(frames, generate("cat runs", 3))
    assert not torch.equal(frames, generate("cat runs", 4))
    synthesise(["cat runs"], generate, tmp_path / "out", 16.0)
    assert VideoFrames(tmp_path / "out" / "000000.mp4").num_frames == 5
