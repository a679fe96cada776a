"""Track-v0 against hao-ai-lab/FastVideo's own code (branch motion-stream/causal-kernel), FASTVIDEO_PATH.

Its CausalTrackWan transformer and TrackEncoder go through its own causal denoising stage; ours loads the same random
weights from a diffusers folder and streams from the same noise. Replaced from this side: bfloat16, which the stage asks
for, by fp32; the attention backend, by its torch one; process groups of one; packages that a forward pass does not use.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from motionstream_core.checkpoints import load_model
from motionstream_core.checkpoints.detect import model_shapes
from motionstream_core.checkpoints.families import BY_KEY
from motionstream_core.checkpoints.key_maps import to_diffusers
from motionstream_core.checkpoints.load import LoadedModel
from motionstream_core.diffusion.schedule import student_sigmas
from motionstream_core.geometry import Chunk
from motionstream_core.models.conditioning import Conditions, first_frame_mask
from motionstream_core.models.track_head import TrackHead
from motionstream_core.streaming.rollout import rollout
from tests.parity.references import checkout, error, importable, randomise, report

HEIGHT, WIDTH = 8, 12  # latent cells
LATENT_FRAMES = 10  # 1 + 3 + 3 + 3: the window rolls twice
NUM_FRAMES = 1 + 4 * (LATENT_FRAMES - 1)
NUM_TRACKS = 7
PACKAGES = ("fastvideo", "fastvideo.pipelines", "fastvideo.pipelines.stages")
ABSENT = (
    *("cloudpickle", "imageio", "torchvision", "remote_pdb"),
    *("fastvideo.models.loader", "fastvideo.fastvideo_args", "fastvideo.pipelines.pipeline_batch_info"),
)
BACKBONE = replace(
    BY_KEY["track_v0"].spec.backbone,
    **{"dim": 256, "ffn_dim": 96, "num_heads": 2, "num_layers": 2, "freq_dim": 32, "text_dim": 24, "image_dim": 20},
)
SPEC = replace(BY_KEY["track_v0"].spec, backbone=BACKBONE)


class TorchInFp32:
    """torch, as a module that asks for bfloat16 and for noise shall see it."""

    bfloat16 = torch.float32

    def __init__(self, draws: Iterator[Tensor]) -> None:
        self.draws = draws

    def randn(self, shape: Any, **_: Any) -> Tensor:
        drawn = next(self.draws)
        assert drawn.shape == shape
        return drawn

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@pytest.fixture(scope="module")
def reference() -> Iterator[SimpleNamespace]:
    root = checkout("FASTVIDEO_PATH", "hao-ai-lab/FastVideo, branch motion-stream/causal-kernel")
    absent = tuple(name for name in ABSENT if "." in name or not has(name))
    with importable(root, PACKAGES, absent), pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "FASTVIDEO_LOGGING_LEVEL", "ERROR")
        import fastvideo.attention.layer as layer  # pyright: ignore[reportMissingImports]
        import fastvideo.models.dits.causal_wanvideo as causal  # pyright: ignore[reportMissingImports]
        import fastvideo.models.dits.trackwan.model as trackwan  # pyright: ignore[reportMissingImports]
        import fastvideo.pipelines.stages.denoising as denoising  # pyright: ignore[reportMissingImports]
        import fastvideo.pipelines.stages.wantrack_causal_denoising as stage  # pyright: ignore[reportMissingImports]
        from fastvideo.attention.backends.sdpa import SDPABackend  # pyright: ignore[reportMissingImports]
        from fastvideo.configs.models.dits.trackwan import (  # pyright: ignore[reportMissingImports]
            CausalTrackWanVideoConfig,
        )
        from fastvideo.models.schedulers import (  # pyright: ignore[reportMissingImports]
            scheduling_flow_match_euler_discrete as euler,
        )
        from fastvideo.models.schedulers import (  # pyright: ignore[reportMissingImports]
            scheduling_self_forcing_flow_match as self_forcing,
        )

        for module in (layer, denoising):
            patch.setattr(module, "get_attn_backend", lambda *_, **__: SDPABackend)
        patch.setattr(causal, "get_sp_world_size", lambda: 1)
        patch.setattr(stage, "get_local_torch_device", lambda: torch.device("cpu"))
        patch.setattr(stage.WanTrackCausalDenoisingStage, "progress_bar", lambda *_, **__: nullcontext())
        yield SimpleNamespace(
            stage=stage,
            model=trackwan,
            config=CausalTrackWanVideoConfig,
            encoder=trackwan.TrackEncoder,
            training_schedule=lambda: self_forcing.SelfForcingFlowMatchScheduler(
                num_inference_steps=1000, shift=6.0, sigma_min=0.0, extra_one_step=True, training=True
            ),
            inference_schedule=lambda: euler.FlowMatchEulerDiscreteScheduler(shift=6.0),
        )


def has(package: str) -> bool:
    try:
        __import__(package)
    except ImportError:
        return False
    return True


def their_model(reference: SimpleNamespace) -> Any:
    config = reference.config()
    arch = config.arch_config
    sizes = {
        "num_attention_heads": BACKBONE.num_heads,
        "attention_head_dim": BACKBONE.head_dim,
        "ffn_dim": BACKBONE.ffn_dim,
        "num_layers": BACKBONE.num_layers,
        "text_dim": BACKBONE.text_dim,
        "freq_dim": BACKBONE.freq_dim,
        "image_dim": BACKBONE.image_dim,
        "added_kv_proj_dim": BACKBONE.dim,
    }
    rules = {"local_attn_size": 6, "sink_size": 1, "rope_cache_policy": "relativistic", "num_frames_per_block": 3}
    for name, value in (
        sizes | rules | {"track_config": {"track_channels": 16, "id_dim": 64, "use_bias": True}}
    ).items():
        setattr(arch, name, value)
    arch.__post_init__()
    model = reference.model.CausalTrackWanTransformer3DModel(config, {}).float().eval()
    randomise(model, 0.1)
    return model


def published(model: Any, folder: Path) -> None:
    """The model's weights as FastVideo publishes them: a diffusers folder, names by its own map."""
    own = dict(model.state_dict())
    tensors = {}
    for name in to_diffusers({name: name for name in model_shapes(SPEC)}):
        theirs = name
        for pattern, replacement in model.param_names_mapping.items():
            theirs = re.sub(pattern, replacement, theirs)
        tensors[name] = own.pop(theirs)
    unused = [name for name in own if name.endswith("attn2.norm_added_q.weight")]
    tensors |= {name: own.pop(name) for name in unused}
    assert not own and len(unused) == BACKBONE.num_layers
    folder.mkdir()
    save_file(tensors, str(folder / "diffusion_pytorch_model.safetensors"))
    (folder / "config.json").write_text(json.dumps({"_class_name": type(model).__name__}))


class Given:
    """The same conditions for both: image channels, prompt, CLIP tokens, tracks, and every draw of noise."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.text = torch.randn(1, 9, BACKBONE.text_dim, generator=generator)
        self.clip = torch.randn(1, 257, BACKBONE.image_dim or 0, generator=generator)
        self.image = torch.randn(1, 16, LATENT_FRAMES, HEIGHT, WIDTH, generator=generator)
        self.mask = first_frame_mask(LATENT_FRAMES, HEIGHT, WIDTH, self.image)
        self.points = torch.rand(1, NUM_FRAMES, NUM_TRACKS, 2, generator=generator) * 0.999
        self.visibility = torch.rand(1, NUM_FRAMES, NUM_TRACKS, generator=generator) > 0.3
        self.ids = torch.randperm(100_000, generator=generator)[None, :NUM_TRACKS]
        self.chunks = list(SPEC.chunk_plan.chunks(LATENT_FRAMES))
        steps = len(SPEC.step_list)
        self.noise = [
            [torch.randn(1, 16, chunk.num_frames, HEIGHT, WIDTH, generator=generator) for _ in range(steps)]
            for chunk in self.chunks
        ]


def their_stream(reference: SimpleNamespace, model: Any, scheduler: Any, given: Given) -> Tensor:
    stage = reference.stage.WanTrackCausalDenoisingStage(model, scheduler)
    batch = SimpleNamespace(
        latents=torch.cat([draws[0] for draws in given.noise], dim=2),
        image_latent=torch.cat([given.mask, given.image], dim=1),
        track_points=given.points,
        track_visibility=given.visibility.float(),
        track_ids=given.ids,
        prompt_embeds=[given.text],
        prompt_attention_mask=None,
        image_embeds=[given.clip],
        generator=None,
    )
    text = SimpleNamespace(arch_config=SimpleNamespace(text_len=512))
    pipeline = SimpleNamespace(
        dmd_denoising_steps=list(SPEC.step_list), warp_denoising_step=True, text_encoder_configs=[text], context_noise=0
    )
    later = iter([draw.transpose(1, 2) for draws in given.noise for draw in draws[1:]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference.stage, "torch", TorchInFp32(later))
        settings = SimpleNamespace(pipeline_config=pipeline, disable_autocast=True)
        return stage.forward(batch, settings).latents


def our_stream(loaded: LoadedModel, sigmas: Tensor, given: Given) -> Tensor:
    """As `streaming.conditions` does it, every chunk's tracks encoded from its own pixel frames."""
    model, spec = loaded.model, loaded.spec
    assert model.track_head is not None
    size = (8 * HEIGHT, 8 * WIDTH)
    pixels = given.points * torch.tensor([size[1], size[0]])
    context = model.prepare_context(given.text, given.clip)

    def conditions(chunk: Chunk) -> Conditions:
        start, stop = spec.vae_stride.frame_span(chunk.start, chunk.stop)
        head: TrackHead = model.track_head  # type: ignore[assignment]
        seen = given.visibility[:, start:stop]
        tracks = head.encode(pixels[:, start:stop], seen, given.ids, size, at_start=start == 0)
        frames = slice(chunk.start, chunk.stop)
        return Conditions(context, given.mask[:, :, frames], given.image[:, :, frames], tracks)

    cache = model.make_cache(
        *(1, HEIGHT, WIDTH),
        sink_frames=spec.sink_frames,
        window_frames=spec.window_frames,
        chunk_frames=spec.chunk_plan.chunk_frames,
        rope_rule=spec.rope_rule,
    )
    chunks = rollout(
        model,
        spec.layout,
        conditions,
        plan=spec.chunk_plan,
        sigmas=sigmas,
        cache=cache,
        noise=lambda chunk, step: given.noise[chunk.index][step],
        num_latent_frames=LATENT_FRAMES,
    )
    return torch.cat([rolled.latents for rolled in chunks], dim=2)


@pytest.mark.parametrize("levels", ["training", "inference"])
@torch.no_grad()
def test_the_stream_of_track_v0(reference: SimpleNamespace, tmp_path: Path, levels: str) -> None:
    """Four chunks of the layout 1 + 3k, four steps and a clean pass each.

    Track-v0 was trained at the spec's noise levels (SelfForcingFlowMatchScheduler). FastVideo's inference takes the
    nearest of another scheduler's, up to 0.7 % apart; given those, the stream is the same too.
    """
    model, given = their_model(reference), Given()
    published(model, tmp_path / "transformer")
    loaded = load_model(tmp_path)
    assert loaded.spec == SPEC
    scheduler = reference.training_schedule() if levels == "training" else reference.inference_schedule()
    sigmas = student_sigmas(loaded.spec.step_list, loaded.spec.shift)
    if levels == "inference":
        scheduler.set_timesteps(1000)
        theirs = torch.stack([scheduler.sigmas[1000 - step] for step in SPEC.step_list] + [torch.tensor(0.0)])
        assert 1e-3 < ((theirs - sigmas).abs() / sigmas.clamp(min=1e-6))[:-1].max() < 7e-3
        sigmas = theirs
    expected = their_stream(reference, model, scheduler, given)
    report(f"FastVideo, causal stream at {levels} levels", error(our_stream(loaded, sigmas, given), expected))


@torch.no_grad()
def test_the_track_encoder(reference: SimpleNamespace) -> None:
    given, config = Given(), replace(SPEC.track_head, bias=False)  # type: ignore[type-var]
    theirs = reference.encoder(64, 16).eval()
    randomise(theirs)
    ours = TrackHead(config)
    ours.load_state_dict(theirs.state_dict())
    expected = theirs(given.points, given.visibility, LATENT_FRAMES, HEIGHT, WIDTH, given.ids)
    size = (8 * HEIGHT, 8 * WIDTH)
    pixels = given.points * torch.tensor([size[1], size[0]])
    found = ours.encode(pixels, given.visibility, given.ids, size, at_start=True)
    report("FastVideo, TrackEncoder", error(found, expected))
