"""The README's animation: two strokes drawn in the real editor, and the video that the bundled model makes of them.

    python docs/images/animation/compose.py [OUT.webp]

Needs Node.js with this repository's packages (npm ci) and Chromium.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from motionstream_core.checkpoints import load_model, load_tiny_vae
from motionstream_core.demo.weights import STUDENT, TINY_VAE
from motionstream_core.evaluation.world.report import frames_tensor
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.stream import stream_chunks
from motionstream_core.tracks.drawn.document import Canvas
from motionstream_core.tracks.drawn.parse import parse_document

ROOT = Path(__file__).resolve().parents[3]
PROMPT = "a red triangle and a pink square and a green triangle , still air"
CANVAS = Canvas(128, 128, 49, 16.0)
SIDE, GAP, BAR = 400, 16, 34
DRAWN_MS, PLAYED_MS, HELD_MS = 60, 62, 900
INK, PAPER = (232, 234, 240), (18, 20, 26)


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "readme.webp"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["node", "docs/images/animation/record.js", folder], cwd=ROOT, check=True)
        editor = [Image.open(path).convert("RGB") for path in sorted(Path(folder).glob("*.png"))]
        video = generated(Path(folder, "document.json").read_text("utf-8"))
    shots = [pair(shot, video[0], "draw with the mouse") for shot in editor]
    shots += [pair(editor[-1], frame, "the video follows") for frame in video]
    durations = [DRAWN_MS] * (len(editor) - 1) + [HELD_MS // 2] + [PLAYED_MS] * (len(video) - 1) + [HELD_MS]
    shots[0].save(out, save_all=True, append_images=shots[1:], duration=durations, loop=0, quality=72, method=6)
    print(f"{out}: {len(shots)} frames, {out.stat().st_size / 2**20:.2f} MiB")


@torch.inference_mode()
def generated(document: str) -> list[np.ndarray]:
    """Frames (h w 3) that the bundled student makes of the example picture and the drawn document."""
    loaded, vae = load_model(STUDENT), load_tiny_vae(TINY_VAE)
    tracks = parse_document(document, CANVAS).sample()
    picture = np.asarray(Image.open(ROOT / "js" / "picker" / "bundled" / "three_shapes.png").convert("RGB"))
    conditions = StreamConditions(
        loaded.model,
        loaded.spec,
        encode_prompt(loaded.model, loaded.spec, PROMPT),
        KnownTracks(tracks),
        image=frames_tensor(picture[None]),
        vae=vae,
    )
    count = loaded.spec.vae_stride.num_latent_frames(tracks.num_frames)
    chunks = stream_chunks(loaded, conditions, TinyStreamingDecoder(vae), num_latent_frames=count)
    frames = torch.cat([chunk.frames for chunk in chunks])
    return list((frames.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy())


def pair(shot: Image.Image, frame: np.ndarray, words: str) -> Image.Image:
    """The editor's picture on the left, the video on the right, a line of words above."""
    whole = Image.new("RGB", (round(shot.width * SIDE / shot.height) + GAP + SIDE, SIDE + BAR), PAPER)
    left = shot.resize((round(shot.width * SIDE / shot.height), SIDE), Image.Resampling.LANCZOS)
    right = Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    whole.paste(left, (0, BAR))
    whole.paste(right, (left.width + GAP, BAR))
    draw = ImageDraw.Draw(whole)
    draw.text((10, 9), words, fill=INK, font_size=16)
    draw.text((left.width + GAP + 10, 9), "made by the bundled model", fill=INK, font_size=16)
    return whole


if __name__ == "__main__":
    main()
