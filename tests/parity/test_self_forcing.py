"""Our stream against guandeh17/Self-Forcing's own pipeline, SELF_FORCING_PATH: the same noise, its cache.

Replaced from this side: flash attention, by torch's in fp32; the sizes that its pipeline holds as constants (30 blocks,
1560 tokens a frame, 12 heads); encoders, which are not called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from motionstream_core.checkpoints import load_model
from motionstream_core.diffusion.schedule import student_sigmas
from motionstream_core.geometry import Chunk
from motionstream_core.models.conditioning import Conditions
from motionstream_core.streaming.rollout import rollout
from tests.parity.references import attention, checkout, error, importable, randomise, report

HEIGHT, WIDTH = 8, 12
TOKENS = HEIGHT * WIDTH // 4
SIZES = {"dim": 256, "ffn_dim": 96, "num_heads": 2, "num_layers": 2, "freq_dim": 32, "text_dim": 24}
STEPS = [1000, 750, 500, 250]
PACKAGES = ("wan", "wan.modules", "utils", "pipeline", "demo_utils")
# imports of encoders and of a module that asks for a GPU when it is imported
ABSENT = ("wan.modules.tokenizers", "wan.modules.t5", "demo_utils.memory")


@pytest.fixture(scope="module")
def reference() -> Iterator[SimpleNamespace]:
    root = checkout("SELF_FORCING_PATH", "guandeh17/Self-Forcing")
    with importable(root, PACKAGES, ABSENT), pytest.MonkeyPatch.context() as patch:
        from pipeline import causal_inference  # pyright: ignore[reportMissingImports]
        from utils import wan_wrapper  # pyright: ignore[reportMissingImports]
        from wan.modules import causal_model, model  # pyright: ignore[reportMissingImports]

        patch.setattr(model, "flash_attention", attention)
        patch.setattr(causal_model, "attention", attention)
        yield SimpleNamespace(pipeline=causal_inference, wrapper=wan_wrapper, model=causal_model)


def generator(reference: SimpleNamespace, local: int, sink: int) -> nn.Module:
    """Its WanDiffusionWrapper around a small model of random weights."""
    model = reference.model.CausalWanModel(local_attn_size=local, sink_size=sink, **SIZES).eval()
    randomise(model, 0.1)
    for block in model.blocks:
        block.self_attn.max_attention_size = (21 if local == -1 else local) * TOKENS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference.wrapper.CausalWanModel, "from_pretrained", lambda *_, **__: model)
        return reference.wrapper.WanDiffusionWrapper(timestep_shift=5.0, is_causal=True)


def pipeline_of(reference: SimpleNamespace, wrapped: Any, text: Tensor, noise: Callable[[], Tensor]) -> Any:
    """Its CausalInferencePipeline with this model's sizes; fresh noise comes from `noise`."""
    given = SimpleNamespace(
        denoising_step_list=STEPS,
        warp_denoising_step=True,
        num_frame_per_block=3,
        independent_first_frame=False,
        context_noise=0,
    )
    vae = SimpleNamespace(decode_to_pixel=lambda latents, use_cache: latents)
    pipe = reference.pipeline.CausalInferencePipeline(
        given, torch.device("cpu"), wrapped, lambda text_prompts: {"prompt_embeds": text}, vae
    )
    pipe.num_transformer_blocks, pipe.frame_seq_length = SIZES["num_layers"], TOKENS
    local, heads = pipe.local_attn_size, SIZES["num_heads"]
    frames = 21 if local == -1 else local

    def caches(length: int) -> list[dict[str, Any]]:
        shape = (1, length, heads, SIZES["dim"] // heads)
        ends = ("global_end_index", "local_end_index")
        return [
            {
                "k": torch.zeros(shape),
                "v": torch.zeros(shape),
                "is_init": False,
                **{end: torch.tensor([0]) for end in ends},
            }
            for _ in range(SIZES["num_layers"])
        ]

    pipe._initialize_kv_cache = lambda **_: setattr(pipe, "kv_cache1", caches(frames * TOKENS))
    pipe._initialize_crossattn_cache = lambda **_: setattr(pipe, "crossattn_cache", caches(512))
    return pipe


@pytest.mark.parametrize(
    ("local", "sink", "rule", "num_chunks"),
    [(-1, 0, None, 3), (-1, 0, "absolute", 7), (9, 0, "absolute", 5), (9, 3, "absolute", 5)],
    ids=["as loaded, 3 chunks", "global, 7 chunks", "window of 9", "window of 9, sink of 3"],
)
@torch.no_grad()
def test_the_stream_of_its_own_checkpoint(
    reference: SimpleNamespace, tmp_path: Path, local: int, sink: int, rule: str | None, num_chunks: int
) -> None:
    """Four steps and a clean pass for every chunk, its latents and ours from the same draws."""
    wrapped = generator(reference, local, sink)
    torch.save({"generator_ema": wrapped.state_dict()}, tmp_path / "self_forcing.pt")
    loaded = load_model(tmp_path / "self_forcing.pt")
    text = torch.randn(1, 9, SIZES["text_dim"])
    drawn = torch.randn(num_chunks, len(STEPS), 1, 16, 3, HEIGHT, WIDTH)

    # theirs is (b f c h w) throughout, its fresh noise ((b f) c h w)
    fresh = iter([drawn[chunk, step] for chunk in range(num_chunks) for step in range(1, len(STEPS))])
    pipe = pipeline_of(reference, wrapped, text, lambda: next(fresh))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn_like", lambda _: next(fresh).transpose(1, 2).flatten(0, 1))
        start = torch.cat(list(drawn[:, 0]), dim=2).transpose(1, 2)
        _, expected = pipe.inference(start, ["a prompt"], return_latents=True)

    spec = loaded.spec
    frames = (
        (spec.sink_frames, spec.window_frames) if rule is None else (sink, (21 if local == -1 else local) - 3 - sink)
    )
    cache = loaded.model.make_cache(
        *(1, HEIGHT, WIDTH),
        sink_frames=frames[0],
        window_frames=frames[1],
        chunk_frames=spec.chunk_plan.chunk_frames,
        rope_rule=rule or spec.rope_rule,  # type: ignore[arg-type]
    )
    given = Conditions(loaded.model.prepare_context(text))

    def noise(chunk: Chunk, step: int) -> Tensor:
        return drawn[chunk.index, step]

    chunks = rollout(
        loaded.model,
        spec.layout,
        lambda _: given,
        plan=spec.chunk_plan,
        sigmas=student_sigmas(spec.step_list, spec.shift),
        cache=cache,
        noise=noise,
        num_latent_frames=3 * num_chunks,
    )
    found = torch.cat([rolled.latents for rolled in chunks], dim=2)
    report(f"Self-Forcing, {num_chunks} chunks, local {local}, sink {sink}", error(found, expected.transpose(1, 2)))
