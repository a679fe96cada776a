"""Which effect a video shows: a small classifier of the captions' effects, the judge of caption adherence.

It is trained on true clips and on their reconstructions by the VAE, which is all that a generator can show.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from motionstream_core.checkpoints.load import write_safetensors
from motionstream_core.evaluation.world.report import Video, frames_tensor, to_video
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.world import EFFECTS, Clip

from .clips import draw_clip

SHOWN_AT = (0, 16, 32, 48)  # the classifier sees four frames of a clip
RECONSTRUCTED_EVERY = 3  # of the training clips; it is what costs time


class EffectClassifier(nn.Module):
    """Scores (b 4) of `EFFECTS` from shown frames (b 12 h w): the first one and what the others differ by."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        widths = (3 * len(SHOWN_AT), width, 2 * width, 2 * width)
        layers: list[nn.Module] = []
        for here, there in pairwise(widths):
            layers += [nn.Conv2d(here, there, 3, stride=2, padding=1), nn.GroupNorm(4, there), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.out = nn.Linear(2 * widths[-1], len(EFFECTS))

    def forward(self, shown: Tensor) -> Tensor:
        x = self.features(shown)
        return self.out(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1))

    @torch.no_grad()
    def judge(self, videos: Iterable[Video]) -> Tensor:
        """Number of the effect (b) that each video (t h w 3) of at least 49 frames shows."""
        return self(torch.stack([shown_frames(video) for video in videos])).argmax(1)


def shown_frames(video: Video) -> Tensor:
    """(12 h w) of a uint8 video (t h w 3): its first frame about mid-grey, then three differences to it.

    Raises ValueError for a video that is too short.
    """
    if len(video) <= SHOWN_AT[-1]:
        raise ValueError(f"the video has {len(video)} frames; the classifier looks at frame {SHOWN_AT[-1]}")
    frames = torch.from_numpy(video[list(SHOWN_AT)].copy()).permute(0, 3, 1, 2).float() / 255
    return torch.cat([frames[:1] - 0.5, (frames[1:] - frames[:1]) * 2]).flatten(0, 1)


def caption_effect(caption: str) -> int:
    """Number of the effect that a caption asks for. Raises ValueError where it asks for none."""
    return EFFECTS.index(caption.rsplit(",", 1)[1].strip())


@torch.no_grad()
def reconstruction(vae: TinyVae, clip: Clip) -> Video:
    """The clip, encoded and decoded, in bf16."""
    with torch.autocast("cpu", torch.bfloat16):
        return to_video(vae.decode(vae.encode(frames_tensor(clip.frames)))[0].permute(1, 2, 3, 0))


def examples(vae: TinyVae, seeds: Iterable[int]) -> tuple[Tensor, Tensor]:
    """shown (m 12 h w) and effect (m) of training clips: all of them true, then every third reconstructed."""
    clips = [draw_clip(seed, SHOWN_AT[-1] + 1) for seed in seeds]
    effects = torch.tensor([caption_effect(clip.caption) for clip in clips])
    true = [shown_frames(clip.frames) for clip in clips]
    coded = [shown_frames(reconstruction(vae, clip)) for clip in clips[::RECONSTRUCTED_EVERY]]
    return torch.stack(true + coded), torch.cat([effects, effects[::RECONSTRUCTED_EVERY]])


def train_classifier(shown: Tensor, effects: Tensor, num_steps: int = 600, batch_size: int = 64) -> EffectClassifier:
    """A classifier of the examples; pictures are mirrored at random, as effects have no side."""
    generator = torch.Generator().manual_seed(6)
    torch.manual_seed(6)
    model = EffectClassifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=num_steps)
    for _ in range(num_steps):
        index = torch.randint(len(shown), (batch_size,), generator=generator)
        batch = shown[index]
        if torch.rand((), generator=generator) < 0.5:
            batch = batch.flip(-1)
        loss = F.cross_entropy(model(batch), effects[index])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def trained_classifier(path: Path, vae: TinyVae, num_clips: int = 960, num_steps: int = 600) -> EffectClassifier:
    """The classifier in the safetensors file `path`, trained first where it is missing."""
    if path.is_file():
        model = EffectClassifier()
        model.load_state_dict(load_file(path))
        return model.eval()
    model = train_classifier(*examples(vae, range(0, 2 * num_clips, 2)), num_steps=num_steps)
    write_safetensors(path, model.state_dict(), {})
    return model
