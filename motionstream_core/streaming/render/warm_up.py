"""Chunks that nobody sees, so that what is compiled is compiled before somebody waits for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from ...checkpoints.spec import ModelSpec
from ...tracks import Tracks
from ..conditions import KnownTracks, StreamConditions
from ..network import SpecifiedNetwork
from ..stream import StreamSettings, named, stream_chunks
from .renderer import Renderer, streaming_decoder

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
IMAGE_TOKENS = 257  # of CLIP


def keep_compiled() -> Path:
    """Have PyTorch keep compiled code in the user's cache, where it outlives a restart; the folder.

    A folder that the environment names already stays.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(os.environ.setdefault(CACHE_VARIABLE, str(Path(base, "motionstream", "compiled"))))


def first_steady_chunk(spec: ModelSpec, settings: StreamSettings) -> int:
    """Number of the first chunk behind a full sink and window; from it on all chunks have the same shapes."""
    remembered = (settings.sink_frames or 0) + (settings.window_frames or 0)
    index = 1
    while spec.chunk_plan.chunk(index).start < remembered:
        index += 1
    return index


@torch.no_grad()
def warm_up(
    renderer: Renderer, loaded: SpecifiedNetwork, frame_size: tuple[int, int], settings: StreamSettings
) -> Iterator[tuple[int, int]]:
    """Run a student over a grey picture until a steady chunk is made and remembered; (chunk, of how many), one by one.

    loaded: the renderer's model, with the chunks that are wanted of it. Raises RuntimeError where PyTorch's compiler
    cannot work here.
    """
    renderer.settle()
    spec, model, (device, dtype) = loaded.spec, loaded.model, loaded.model.placement
    settings, backbone = named(settings, loaded), spec.backbone
    image = None
    if backbone.image_dim is not None:
        image = torch.zeros(1, IMAGE_TOKENS, backbone.image_dim, device=device, dtype=dtype)
    context = model.prepare_context(torch.zeros(1, 1, backbone.text_dim, device=device, dtype=dtype), image)
    grey = torch.full((1, 3, 1, *frame_size), 0.5, device=device) if spec.image_rule != "none" else None
    tracks = KnownTracks(Tracks.empty(1, *frame_size))
    conditions = StreamConditions(model, spec, context, tracks, image=grey, vae=renderer.encoder, frame_size=frame_size)
    count = first_steady_chunk(spec, settings) + 1
    chunks = stream_chunks(
        loaded,
        conditions,
        streaming_decoder(renderer.decoder),
        num_latent_frames=spec.chunk_plan.chunk(count - 1).stop,
        settings=settings,
    )
    try:
        for made in chunks:
            yield made.chunk.index + 1, count
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        cause = getattr(error, "inner_exception", error)
        why = f"{type(cause).__name__}: {str(cause).strip().splitlines()[0]}"
        raise RuntimeError(f"compile: PyTorch's compiler cannot work here ({why}); leave the option out") from error
