"""Synthetic clips: a text-to-video model over a list of prompts, every video beside its prompt as `prepare` reads them.

The video of a line is a function of the line's number and words alone. So a run that was stopped goes on at the first
video that is not there, and any number of processes share one list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ...media.video_file import VideoFile
from ...models.encoders import TextEncoder, require_parts
from ...models.vae.wan_vae import WanVae

Generate = Callable[[str, int], Tensor]
"""(prompt, seed) -> frames (t h w 3) in [0, 1]"""


def read_prompts(path: str | Path) -> list[str]:
    """The lines of a text file that are not empty. Raises FileNotFoundError, ValueError where there are none."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no list of prompts {path}")
    prompts = [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    if not prompts:
        raise ValueError(f"{path} holds no prompts; it must have one a line")
    return prompts


def synthesise(
    prompts: Sequence[str],
    generate: Generate,
    folder: Path,
    fps: float,
    part: tuple[int, int] = (0, 1),
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Write `<number>.mp4` and `<number>.txt` for every prompt that has no video yet.

    part: (i, n) takes every n-th prompt from the i-th on. report: gets (videos done, videos) of this part. Raises
    ValueError where a video stands beside another prompt: the list was changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mine = range(part[0], len(prompts), part[1])
    for done, number in enumerate(mine, start=1):
        video = folder / f"{number:06d}.mp4"
        beside = video.with_suffix(".txt")
        if beside.exists() and beside.read_text("utf-8") != prompts[number]:
            raise ValueError(f"{beside} holds another prompt than line {number + 1} of the list; give another folder")
        if not video.exists():
            beside.write_text(prompts[number], "utf-8")
            with VideoFile(video, fps) as file:
                file.push(generate(prompts[number], number))
        if report:
            report(done, len(mine))


def wan_text_to_video(
    folder: str | Path, device: torch.device, frame_size: tuple[int, int], num_frames: int, num_steps: int = 50
) -> Generate:
    """A Wan text-to-video model from a local folder in diffusers' layout; nothing is downloaded.

    frame_size: (height, width) px. Raises ImportError without diffusers, FileNotFoundError naming a subfolder that is
    missing.
    """
    require_parts(folder, ("tokenizer", "text_encoder", "transformer", "vae", "scheduler"))
    try:
        from diffusers.pipelines.wan.pipeline_wan import WanPipeline
    except ImportError as error:
        raise ImportError("Wan's text-to-video model needs the package 'diffusers'; pip install diffusers") from error
    text_encoder = TextEncoder.load(folder, torch.bfloat16).model
    # the rest in fp32 under autocast: the VAE wants it, and the transformer's norms and times do
    pipeline: Any = WanPipeline.from_pretrained(
        str(folder),
        text_encoder=text_encoder,
        transformer=_transformer(Path(folder) / "transformer"),
        vae=WanVae.from_pretrained(Path(folder) / "vae").vae,
        local_files_only=True,
    )
    pipeline.to(device).set_progress_bar_config(disable=True)
    height, width = frame_size

    def generate(prompt: str, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        with torch.autocast(device.type, torch.bfloat16):
            made = pipeline(
                prompt,
                height=height,
                width=width,
                num_frames=num_frames,
                num_inference_steps=num_steps,
                generator=generator,
                output_type="pt",
            )
        return made.frames[0].permute(0, 2, 3, 1).float().cpu()

    return generate


def _transformer(folder: Path) -> Any:
    """In fp32, from the files themselves: diffusers' own loader asks for one more package."""
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

    config: Any = WanTransformer3DModel.load_config(str(folder), local_files_only=True)
    model: Any = WanTransformer3DModel.from_config(config)
    weights: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        weights |= load_file(str(file))
    model.load_state_dict(weights)
    return model.eval()
