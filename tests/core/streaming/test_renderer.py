"""Video from local files: a folder as Track-v0 is published, in miniature, against its parts used by hand."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

pytest.importorskip("diffusers", reason="Wan's VAE needs diffusers")
pytest.importorskip("transformers", reason="Wan's text encoder needs transformers")

from benchmarks.measure.held_memory import HeldMemory
from benchmarks.measure.models import full_vae
from motionstream_core.__main__ import main
from motionstream_core.checkpoints import build_model, load_model, load_tiny_vae, save_model, save_tiny_vae
from motionstream_core.checkpoints.families import BY_KEY
from motionstream_core.checkpoints.load import SPEC_KEY
from motionstream_core.demo.render_demo import _chunks, own_job
from motionstream_core.demo.weights import STUDENT, TINY_VAE
from motionstream_core.media.video import VideoFrames
from motionstream_core.models.vae.tiny_vae import TinyVae, TinyVaeConfig
from motionstream_core.models.vae.wan_vae import WanVae
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions
from motionstream_core.streaming.decode import FullStreamingDecoder
from motionstream_core.streaming.render.fit import image_tensor
from motionstream_core.streaming.render.job import Pace
from motionstream_core.streaming.render.parts import find_parts
from motionstream_core.streaming.render.prompts import EncodedPrompt
from motionstream_core.streaming.render.renderer import Renderer, TeacherSettings, open_renderer, reserve_bytes
from motionstream_core.streaming.stream import stream_chunks
from motionstream_core.tracks import Tracks
from motionstream_core.training.recipes.wan import WAN22_TEACHER
from tests.core.wan_folder import WORDS

SIZE = (16, 32)
FRAMES = 25  # latents 1 + 3 + 3
PROMPT = "cat runs ."

pytestmark = pytest.mark.usefixtures("short_grey_clip")


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def tracks() -> Tracks:
    u = torch.linspace(0, 1, FRAMES)[:, None, None]
    points = torch.tensor([[[4.0, 4.0], [20.0, 12.0]]]) + u * torch.tensor([[[24.0, 4.0], [-8.0, -10.0]]])
    return Tracks(points, torch.ones(FRAMES, 2, dtype=torch.bool), *SIZE)


def rendered(renderer: Renderer, image: Tensor, tracks: Tracks, **options: Any) -> Tensor:
    (prompt,) = renderer.encode([PROMPT], [image])
    return torch.cat(list(renderer.video(prompt, image, tracks, FRAMES, **options)))


@torch.no_grad()
def by_hand(track_v0: Path, image: Tensor, tracks: Tracks) -> Tensor:
    """The frames by transformers' and diffusers' own classes around the stream."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    from transformers import CLIPImageProcessor, CLIPVisionModel, UMT5EncoderModel

    ids = torch.tensor([[*(WORDS.index(word) + 3 for word in PROMPT.split()), 1]])
    text = UMT5EncoderModel.from_pretrained(track_v0 / "text_encoder").eval()(ids).last_hidden_state
    picture = Image.fromarray((image * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy())
    pixels = CLIPImageProcessor.from_pretrained(track_v0 / "image_processor")(picture, return_tensors="pt").pixel_values
    clip = CLIPVisionModel.from_pretrained(track_v0 / "image_encoder").eval()
    tokens = clip(pixels, output_hidden_states=True).hidden_states[-2]
    loaded = load_model(track_v0, torch.float32)
    vae = AutoencoderKLWan.from_pretrained(track_v0 / "vae").eval()
    given = StreamConditions(
        loaded.model,
        loaded.spec,
        loaded.model.prepare_context(text, tokens),
        KnownTracks(tracks),
        image=image[None, :, None],
        vae=WanVae(vae),
    )
    latents = [
        chunk.latents for chunk in stream_chunks(loaded, given, FullStreamingDecoder(WanVae(vae)), num_latent_frames=7)
    ]
    shift, spread = (torch.tensor(vae.config[f"latents_{name}"]).view(1, -1, 1, 1, 1) for name in ("mean", "std"))
    frames = vae.decode(torch.cat(latents, 2) * spread + shift).sample
    return ((frames[0].permute(1, 2, 3, 0) + 1) / 2).clamp(0, 1)


# --- a folder


def test_frames_are_those_of_the_parts_used_by_hand(track_v0: Path, image: Tensor, tracks: Tracks) -> None:
    frames = rendered(open_renderer(track_v0), image, tracks)
    expected = by_hand(track_v0, image, tracks)
    assert frames.shape == (FRAMES, *SIZE, 3) and frames.std() > 0.01
    torch.testing.assert_close(frames, expected, rtol=0, atol=1e-5)


def test_every_input_reaches_the_frames(track_v0: Path, image: Tensor, tracks: Tracks) -> None:
    renderer = open_renderer(track_v0)
    prompt, other = renderer.encode([PROMPT, "dog"], [image, 1 - image])
    told = torch.cat(list(renderer.video(prompt, image, tracks, FRAMES)))
    changed = {
        "text": (EncodedPrompt("dog", other.text, prompt.image_tokens), image, tracks),
        "image tokens": (EncodedPrompt(PROMPT, prompt.text, other.image_tokens), image, tracks),
        "image": (prompt, 1 - image, tracks),
        "tracks": (prompt, image, Tracks.empty(FRAMES, *SIZE)),
    }
    for name, inputs in changed.items():
        frames = torch.cat(list(renderer.video(*inputs, FRAMES)))
        assert (frames - told).abs().max() > 1e-4, name


def test_weights_that_wait_on_the_cpu_give_the_same_frames(track_v0: Path, image: Tensor, tracks: Tracks) -> None:
    whole = rendered(open_renderer(track_v0), image, tracks)
    waiting = open_renderer(track_v0, budget_bytes=1000)
    torch.testing.assert_close(rendered(waiting, image, tracks), whole, rtol=0, atol=0)


def test_a_prompt_is_the_same_beside_others(track_v0: Path, image: Tensor) -> None:
    renderer = open_renderer(track_v0)
    alone = renderer.encode(["cat"], [image])[0]
    beside = renderer.encode(["dog sits .", "cat", "cat runs"], [image] * 3)[1]
    assert alone.text is not None and beside.text is not None
    torch.testing.assert_close(alone.text, beside.text, rtol=0, atol=0)


def test_a_tiny_vae_decodes_in_place_of_the_full_one(
    track_v0: Path, image: Tensor, tracks: Tracks, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    tiny = TinyVae(
        TinyVaeConfig(
            latent_channels=16,
            patch_size=2,
            decoder_widths=(8, 8, 8, 4),
            encoder_width=4,
            decoder_space_upscale=(True, True, False),
            encoder_space_downscale=(True, True, False),
        )
    )
    save_tiny_vae(tmp_path / "tiny.safetensors", tiny)
    renderer = open_renderer(track_v0, vae=tmp_path / "tiny.safetensors")
    assert isinstance(renderer.encoder, WanVae) and isinstance(renderer.decoder, TinyVae)
    assert rendered(renderer, image, tracks).shape == (FRAMES, *SIZE, 3)


# --- what is missing or does not fit


@pytest.mark.parametrize(
    "part", ["transformer", "text_encoder", "tokenizer", "vae", "image_encoder", "image_processor"]
)
def test_a_missing_part_is_named(track_v0: Path, tmp_path: Path, part: str) -> None:
    shutil.copytree(track_v0, tmp_path / "broken")
    shutil.rmtree(tmp_path / "broken" / part)
    with pytest.raises(FileNotFoundError, match=f"no subfolder '{part}'"):
        open_renderer(tmp_path / "broken")


def test_a_lone_transformer_needs_its_encoders(track_v0: Path, tmp_path: Path, image: Tensor, tracks: Tracks) -> None:
    loaded = load_model(track_v0, torch.float32)
    save_model(tmp_path / "alone.safetensors", loaded.model, loaded.spec)
    with pytest.raises(ValueError, match="--encoders"):
        open_renderer(tmp_path / "alone.safetensors")
    renderer = open_renderer(tmp_path / "alone.safetensors", encoders=track_v0)
    torch.testing.assert_close(
        rendered(renderer, image, tracks), rendered(open_renderer(track_v0), image, tracks), rtol=0, atol=0
    )


def test_an_all_in_one_checkpoint_needs_what_it_lacks_and_no_more(
    track_v0: Path, tmp_path: Path, image: Tensor, tracks: Tracks
) -> None:
    """As ComfyUI saves transformer, VAE and text encoder in one, without a tokenizer."""
    loaded = load_model(track_v0, torch.float32)
    parts = {f"model.diffusion_model.{name}": value for name, value in loaded.model.state_dict().items()}
    for file, prefix in (
        ("text_encoder/model.safetensors", "text_encoders.umt5xxl.transformer."),
        ("vae/diffusion_pytorch_model.safetensors", "vae."),
    ):
        parts |= {prefix + name: value for name, value in load_file(track_v0 / file).items()}
    path = tmp_path / "all.safetensors"
    save_file(parts, path, {SPEC_KEY: loaded.spec.to_json()})  # which says how many heads so small a model has
    with pytest.raises(
        ValueError, match=r"all\.safetensors lacks tokenizer, image_encoder, image_processor; with --en"
    ):
        open_renderer(path)
    for part in ("tokenizer", "image_encoder"):
        shutil.copytree(track_v0 / part, tmp_path / "others" / part)
    with pytest.raises(FileNotFoundError, match="no subfolder 'image_processor'"):
        open_renderer(path, encoders=tmp_path / "others")
    shutil.copytree(track_v0 / "image_processor", tmp_path / "others" / "image_processor")
    made = rendered(open_renderer(path, encoders=tmp_path / "others"), image, tracks)
    torch.testing.assert_close(made, rendered(open_renderer(track_v0), image, tracks), rtol=0, atol=1e-5)


def test_what_the_folder_of_encoders_has_goes_before_what_is_inside(track_v0: Path, tmp_path: Path) -> None:
    inside = {"text_encoders.shared.weight": torch.zeros(2, 2), "vae.x": torch.zeros(1)}
    save_file(inside, tmp_path / "all.safetensors")
    parts = find_parts(tmp_path / "all.safetensors", track_v0, ["text_encoder", "tokenizer", "vae"])
    assert set(parts.places.values()) == {track_v0}


def test_encoders_of_another_width_are_refused(track_v0: Path, tmp_path: Path, image: Tensor) -> None:
    shutil.copytree(track_v0, tmp_path / "other")
    config_file = tmp_path / "other" / "image_encoder" / "config.json"
    config = json.loads(config_file.read_text("utf-8"))
    shutil.rmtree(tmp_path / "other" / "image_encoder")
    from transformers import CLIPVisionConfig, CLIPVisionModel

    CLIPVisionModel(CLIPVisionConfig(**{**config, "hidden_size": 16})).save_pretrained(
        tmp_path / "other" / "image_encoder"
    )
    with pytest.raises(ValueError, match=r"image token width: the model takes 8, .*image_encoder gives 16"):
        open_renderer(tmp_path / "other").encode([PROMPT], [image])


def test_without_transformers_the_error_names_the_package(
    track_v0: Path, image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match="pip install transformers"):
        open_renderer(track_v0).encode([PROMPT], [image])


@pytest.mark.parametrize("num_frames", [1, 30])
def test_a_length_that_fills_no_chunks_is_refused(
    track_v0: Path, image: Tensor, tracks: Tracks, num_frames: int
) -> None:
    renderer = open_renderer(track_v0)
    (prompt,) = renderer.encode([PROMPT], [image])
    nearest = {1: "13", 30: "25 or 37"}[num_frames]
    with pytest.raises(
        ValueError, match=rf"makes 13 \+ 12 \* k frames, not {num_frames}; nearest that fit: {nearest}$"
    ):
        next(renderer.video(prompt, image, tracks, num_frames))


def test_a_teacher_samples_a_whole_clip(track_v0: Path, image: Tensor, tracks: Tracks) -> None:
    renderer = open_renderer(track_v0, role="teacher")
    prompt, negative = renderer.encode([PROMPT, ""], [image, image])
    parts = list(renderer.video(prompt, image, tracks, FRAMES, teacher=TeacherSettings(2), negative=negative))
    assert [part.shape for part in parts] == [(FRAMES, *SIZE, 3)]
    with pytest.raises(ValueError, match="negative"):
        next(renderer.video(prompt, image, tracks, FRAMES))


def test_a_model_of_text_alone_takes_neither_image_nor_tracks(
    track_v0: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backbone = replace(load_model(track_v0, torch.float32).spec.backbone, in_channels=16, image_dim=None)
    spec = replace(BY_KEY["self_forcing"].spec, backbone=backbone, sink_frames=1, window_frames=2)
    torch.manual_seed(6)
    save_model(tmp_path / "text.safetensors", build_model(spec), spec)
    (tmp_path / "file").touch()
    fixed = ["--model", str(tmp_path / "text.safetensors"), "--encoders", str(track_v0), "--device", "cpu"]
    arguments = ["render", *fixed, "--size", "32x16", "--frames", "9", "--out", str(tmp_path / "v.mp4")]
    assert main([*arguments, "--image", str(tmp_path / "file")]) == 2
    assert "--image: this model makes video from text alone" in capsys.readouterr().err
    assert main([*arguments, "--tracks", str(tmp_path / "file")]) == 2
    assert "--tracks: this model has no track head" in capsys.readouterr().err
    assert main(arguments) == 0
    assert VideoFrames(tmp_path / "v.mp4").num_frames == 9
    picture = tmp_path / "davis/JPEGImages/480p/a/0.jpg"
    picture.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((16, 32, 3), np.uint8)).save(picture)
    assert main(["evaluate", str(tmp_path / "davis"), *fixed, "--out", str(tmp_path / "out")]) == 2
    assert "no track head" in capsys.readouterr().err


# --- the bundled model


def test_the_bundled_model_needs_no_more_than_its_own_files() -> None:
    job = own_job(13)
    renderer = open_renderer(STUDENT)
    image = image_tensor(job.image)
    (prompt,) = renderer.encode([job.prompt], [image])
    frames = torch.cat(list(renderer.video(prompt, image, job.tracks, 13)))
    expected = torch.cat(
        list(_chunks(load_model(STUDENT, torch.float32), load_tiny_vae(TINY_VAE), image[None, :, None], job, 0, 4))
    )
    torch.testing.assert_close(frames, expected, rtol=0, atol=0)


# --- the command


def test_the_command_writes_the_video(track_v0: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.full((60, 80, 3), 99, np.uint8)).save(tmp_path / "photo.png")
    drawn = [[{"x": 10 + 2 * t, "y": 20} for t in range(25)]]
    (tmp_path / "tracks.json").write_text(json.dumps(drawn), "utf-8")
    out = tmp_path / "out" / "video.mp4"
    arguments = ["render", "--model", str(track_v0), "--size", "32x16", "--prompt", PROMPT, "--device", "cpu"]
    arguments += ["--image", str(tmp_path / "photo.png"), "--tracks", str(tmp_path / "tracks.json"), "--out", str(out)]
    assert main(arguments) == 0
    assert "25 frames, 32x16 px" in capsys.readouterr().out
    video = VideoFrames(out)
    assert (video.num_frames, video.height, video.width) == (25, 16, 32)
    assert main(arguments) == 2
    assert "--overwrite to replace it" in capsys.readouterr().err
    assert main([*arguments, "--frames", "26", "--overwrite"]) == 2
    assert "nearest that fit: 25 or 37" in capsys.readouterr().err
    without = ["render", "--model", str(track_v0), "--device", "cpu", "--prompt", PROMPT]
    assert main([*without, "--out", str(tmp_path / "b.mp4")]) == 2
    assert "--image: it is missing" in capsys.readouterr().err


def test_the_cache_of_a_full_size_stream_is_reckoned() -> None:
    """Of 30 layers, 30 x 52 tokens, 1536 wide, two bytes: keys and values of 6 latent frames, and 2 keys unrotated."""
    spec = BY_KEY["track_v0"].spec
    assert spec.cache_bytes(spec.frame_size, 2) == (2 * 6 + 2) * 30 * 1560 * 1536 * 2


def test_pace_counts_from_the_first_generated_chunk() -> None:
    pace = Pace(started=10.0, chunk_ends=[10.5, 12.0, 13.0, 14.5], chunk_frames=[1, 12, 12, 12])
    assert (pace.num_frames, pace.first_frame_s, pace.seconds_per_chunk) == (37, 2.0, 1.25)
    assert pace.frames_per_second == pytest.approx(37 / 4.5)
    whole = Pace(started=10.0, chunk_ends=[16.0], chunk_frames=[81])
    assert (whole.first_frame_s, whole.seconds_per_chunk) == (6.0, 6.0)


@pytest.mark.parametrize("large", [False, True], ids=["2.1 at 832x480", "2.2 at 1280x704"])
def test_the_reserve_holds_what_a_full_vae_needs(large: bool) -> None:
    """A tenth is left for what is no tensor: workspaces, and memory that the allocator cannot use."""
    spec = WAN22_TEACHER if large else BY_KEY["track_v0"].spec
    vae, (height, width) = full_vae(spec, torch.bfloat16), spec.frame_size
    cells = (height // vae.stride.space, width // vae.stride.space)
    reserve = reserve_bytes(spec, torch.bfloat16)
    with torch.inference_mode(), HeldMemory() as held:
        memory = vae.new_memory()
        for _ in range(2):
            latents = torch.empty(1, vae.num_channels, 3, *cells, device="meta")
            frames = vae.decode_stream(latents, memory)
        assert frames.shape == (1, 3, 12, height, width)
    assert reserve / 2 < held.peak < 0.9 * reserve
    with torch.inference_mode(), HeldMemory() as held:
        vae.encode(torch.empty(1, 3, 81 if spec.image_rule == "grey_clip" else 1, height, width, device="meta"))
    assert 0 < held.peak < 0.9 * reserve


def test_memory_is_counted() -> None:
    with HeldMemory() as held:
        first = torch.empty(1000, device="meta")
        view = first[:10]
        del first
        assert (held.now, held.peak) == (4000, 4000)  # the view keeps it
        del view
        second = torch.empty(500, device="meta")
        assert (held.now, held.peak) == (2000, 4000)
        del second
