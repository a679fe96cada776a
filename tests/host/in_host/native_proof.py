"""Run by the host's Python: what of the host holds only inside it, measured and written as JSON to standard output.

usage: native_proof.py CHECKOUT PACK CHECKPOINTS_FOLDER [CHECK ...]
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

CHECKOUT, PACK, FOLDER = (Path(name) for name in sys.argv[1:4])
ONLY = sys.argv[4:]
sys.argv = ["main.py", "--cpu"]
sys.path.insert(0, str(CHECKOUT))

import comfy.options  # noqa: E402
import utils.install_util  # noqa: E402, F401  # before another `utils` comes onto the path

comfy.options.enable_args_parsing()

import comfy.model_management as mm  # noqa: E402
import comfy.sample  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.sd  # noqa: E402
import folder_paths  # noqa: E402
import torch  # noqa: E402
from comfy.ldm.wan import vae as wan21  # noqa: E402
from comfy.ldm.wan import vae2_2 as wan22  # noqa: E402
from comfy_api.torch_helpers import set_torch_compile_wrapper  # noqa: E402
from comfy_extras import nodes_custom_sampler  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from server import PromptServer  # noqa: E402

import nodes  # noqa: E402

SIZE = (48, 48)
NUM_LATENT_FRAMES = 4


def by_path(name: str, file: Path, folders: list[str] | None = None) -> Any:
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folders)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


by_path("pack", PACK / "__init__.py", [str(PACK)])
checkpoints = importlib.import_module("pack.motionstream_core.checkpoints")
conditions_of = importlib.import_module("pack.motionstream_core.streaming.conditions")
stream = importlib.import_module("pack.motionstream_core.streaming.stream")
schedule = importlib.import_module("pack.motionstream_core.diffusion.schedule")
rolling = importlib.import_module("pack.motionstream_core.streaming.rollout")
Tracks = importlib.import_module("pack.motionstream_core.tracks").Tracks
native = importlib.import_module("pack.nodes.host.network")
guiding = importlib.import_module("pack.nodes.sampling.guider")
keys = importlib.import_module("pack.nodes.host.conditioning")
models = importlib.import_module("pack.nodes.host.model")
vaes = importlib.import_module("pack.nodes.host.vae")
lora_node = importlib.import_module("pack.nodes.lora")
tiny_vaes = importlib.import_module("pack.motionstream_core.models.vae.tiny_vae")
streamer = importlib.import_module("pack.nodes.streaming.streamer").MotionStreamStudentStreamer
key_maps = importlib.import_module("pack.motionstream_core.checkpoints.key_maps")
namings = by_path("lora_namings", PACK / "tests" / "data" / "lora_namings.py")


def hosted(name: str, **options: Any) -> Any:
    loaded = checkpoints.load_model(FOLDER / f"{name}.safetensors")
    return native.host_model(loaded, name, options.pop("compute", torch.float32), **options)


def tracks() -> Any:
    frames = 1 + 4 * (NUM_LATENT_FRAMES - 1)
    path = torch.linspace(5, 40, frames)
    points = torch.stack([torch.stack([path, path * 0 + 20], -1), torch.stack([path * 0 + 30, path], -1)], dim=1)
    return Tracks(points, torch.ones(frames, 2, dtype=torch.bool), *SIZE)


class Encoder:
    """Stands for a VAE: latents of the right shape, the same for the same image."""

    def __init__(self, channels: int) -> None:
        self.channels = channels

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(3)
        shape = (1, self.channels, 1 + (frames.shape[2] - 1) // 4, frames.shape[3] // 8, frames.shape[4] // 8)
        return torch.randn(shape, generator=generator)


def plain(name: str) -> tuple[Any, Any]:
    """The model without a host, and its conditions."""
    loaded = checkpoints.load_model(FOLDER / f"{name}.safetensors")
    image = torch.full((1, 3, 1, *SIZE), 0.5)
    source = conditions_of.StreamConditions(
        loaded.model,
        loaded.spec,
        conditions_of.encode_prompt(loaded.model, loaded.spec, "a red circle"),
        conditions_of.KnownTracks(tracks()),
        image=image if loaded.spec.image_rule != "none" else None,
        vae=Encoder(loaded.spec.backbone.out_channels),
        frame_size=SIZE,
    )
    return loaded, source


def conditioning(patcher: Any, prompt: str) -> list[Any]:
    """As the nodes make it: text, image and tracks."""
    spec = patcher.model.spec
    values: dict[str, Any] = {}
    if spec.track_head is not None:
        values[keys.TRACKS] = tracks()
    if spec.image_rule != "none":
        latents = Encoder(spec.backbone.out_channels).encode(torch.zeros(1, 3, 1, *SIZE))
        values[keys.IMAGE] = patcher.model.latent_format.process_out(latents)
    return [[native.text_tokens(patcher.model.diffusion_model, prompt), values]]


def empty(spec: Any) -> torch.Tensor:
    return torch.zeros(1, spec.backbone.out_channels, NUM_LATENT_FRAMES, SIZE[0] // 8, SIZE[1] // 8)


def by_core(patcher: Any, sampler: str, steps: int, weights: tuple[float, float], seed: int = 5) -> torch.Tensor:
    """Core's SamplerCustomAdvanced, with our guider and our noise levels."""
    spec = patcher.model.spec
    guider = guiding.JointGuider(patcher, *weights)
    guider.set_conds(conditioning(patcher, "a red circle"), conditioning(patcher, ""))
    node = nodes_custom_sampler.SamplerCustomAdvanced
    run = getattr(node, "execute", None) or node().sample
    with torch.inference_mode():
        out = run(
            nodes_custom_sampler.Noise_RandomNoise(seed),
            guider,
            comfy.samplers.sampler_object(sampler),
            schedule.teacher_sigmas(steps, spec.shift),
            {"samples": empty(spec)},
        )
    return (out.result if hasattr(out, "result") else out)[0]["samples"]


def by_ours(name: str, steps: int, weights: tuple[float, float], seed: int = 5) -> torch.Tensor:
    loaded, source = plain(name)
    negative = conditions_of.encode_prompt(loaded.model, loaded.spec, "")
    return stream.sample_teacher(
        loaded, source, negative, num_latent_frames=NUM_LATENT_FRAMES, num_steps=steps,
        text_weight=weights[0], motion_weight=weights[1], sampler="euler", seed=seed,
    )  # fmt: skip


def error(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


def teacher_agrees() -> dict[str, float]:
    found = {}
    for name in ("teacher", "pinned_teacher"):
        for weights in ((3.0, 1.5), (0.0, 0.0), (2.0, 0.0)):
            ours = by_ours(name, 4, weights)
            found[f"{name} {weights}"] = error(by_core(hosted(name), "euler", 4, weights), ours)
    ours = by_ours("teacher", 4, (3.0, 1.5))
    found["other weights differ"] = error(by_core(hosted("teacher"), "euler", 4, (1.0, 0.5)), ours)
    return found


def schedules() -> dict[str, float]:
    """Core's evenly spread noise levels, under the checkpoint's shift, beside our own."""
    patcher = hosted("teacher")
    own = schedule.teacher_sigmas(20, patcher.model.spec.shift)
    core = comfy.samplers.calculate_sigmas(patcher.get_model_object("model_sampling"), "simple", 20)
    return {"worst": float((core - own).abs().max()), "shift": patcher.model.spec.shift}


def batches() -> list[int]:
    """Batch sizes that the transformer saw under joint guidance, by one step."""
    patcher = hosted("teacher")
    model, seen = patcher.model.diffusion_model, []
    forward = model.forward
    model.forward = lambda x, *args, **given: (seen.append(x.shape[0]), forward(x, *args, **given))[1]
    by_core(patcher, "euler", 1, (3.0, 1.5))
    return seen


def lora_of(patcher: Any, names: str) -> dict[str, torch.Tensor]:
    """A random LoRA of every matrix in the blocks, under one of the usual names."""
    generator, found = torch.Generator().manual_seed(9), {}
    for key, value in patcher.model.diffusion_model.state_dict().items():
        if key.startswith("blocks.") and value.ndim == 2:
            stem = key.removesuffix(".weight")
            down = torch.randn(2, value.shape[1], generator=generator) * 0.2
            up = torch.randn(value.shape[0], 2, generator=generator) * 0.2
            if names == "kohya":
                flat = "lora_unet_" + stem.replace(".", "_")
                found |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up}
            else:
                found |= {f"diffusion_model.{stem}.lora_A.weight": down, f"diffusion_model.{stem}.lora_B.weight": up}
    return found


def changes_of(patcher: Any) -> dict[str, torch.Tensor]:
    """A change of every layer's weight and bias, norms, convolutions and the track head among them."""
    generator, found = torch.Generator().manual_seed(10), {}
    for key, value in patcher.model.diffusion_model.state_dict().items():
        for ending, name in ((".weight", ".diff"), (".bias", ".diff_b")):
            if key.endswith(ending) and not key.startswith("text_encoder."):
                found[f"diffusion_model.{key.removesuffix(ending)}{name}"] = (
                    torch.randn(value.shape, generator=generator) * 0.1
                )
    return found


def with_lora(patcher: Any, tensors: dict[str, torch.Tensor], strength: float) -> Any:
    """What core's LoraLoaderModelOnly makes of a file."""
    folder_paths.add_model_folder_path("loras", str(FOLDER / "loras"))
    (FOLDER / "loras").mkdir(exist_ok=True)
    save_file(tensors, str(FOLDER / "loras" / "change.safetensors"))
    return nodes.LoraLoaderModelOnly().load_lora_model_only(patcher, "change.safetensors", strength)[0]


def merged(name: str, strength: float) -> Any:
    """Our own merge: W + strength * B A."""
    loaded = checkpoints.load_model(FOLDER / f"{name}.safetensors")
    lora = lora_of(hosted(name), "diffusers")
    weights = dict(loaded.model.named_parameters())
    for key, down in lora.items():
        if key.endswith("lora_A.weight"):
            stem = key.removeprefix("diffusion_model.").removesuffix(".lora_A.weight")
            up = lora[key.replace("lora_A", "lora_B")]
            weights[f"{stem}.weight"].data += strength * up @ down
    return native.host_model(loaded, name, torch.float32)


def lora() -> dict[str, float]:
    bare = by_core(hosted("teacher"), "euler", 3, (3.0, 1.5))
    wanted = by_core(merged("teacher", 0.7), "euler", 3, (3.0, 1.5))
    found = {"changes": error(wanted, bare)}
    for names in ("diffusers", "kohya"):
        patcher = hosted("teacher")
        patched = with_lora(patcher, lora_of(patcher, names), 0.7)
        found[names] = error(by_core(patched, "euler", 3, (3.0, 1.5)), wanted)
    return found


def lora_namings() -> dict[str, Any]:
    """How many of a LoRA's modules core's loader and ours find, under each naming; what ours computes, merged too."""
    patcher = hosted("teacher")
    weights = patcher.model.diffusion_model.state_dict()
    files = {name: namings.lora_of(weights, name, key_maps.diffusers_name)[0] for name in namings.NAMINGS}
    files |= {kind: namings.lycoris_of(weights, kind) for kind in ("LoKr", "LoHa", "DoRA")}
    found: dict[str, Any] = {"all": len(namings.targets(weights))}
    for name, file in files.items():
        core = with_lora(patcher, file, 0.7)
        ours, about = lora_node.MotionStreamLoadLora.execute(patcher, "change.safetensors", 0.7).result
        found[name] = {"core": len(core.patches), "ours": len(ours.patches), "about": about}
    torch.save({"generator_lora": files["PEFT"]}, FOLDER / "loras" / "lora.pt")
    scripts = lora_node.MotionStreamLoadLora.execute(patcher, "lora.pt", 0.05).result[0]
    change = namings.lora_of(weights, "PEFT", key_maps.diffusers_name)[1]
    loaded = checkpoints.load_model(FOLDER / "teacher.safetensors")
    for name, parameter in loaded.model.named_parameters():
        parameter.data += 0.05 * change.get(name, 0)
    wanted = by_core(native.host_model(loaded, "teacher", torch.float32), "euler", 3, (3.0, 1.5))
    found["lora.pt"] = error(by_core(scripts, "euler", 3, (3.0, 1.5)), wanted)
    found["lora.pt changes"] = error(by_core(patcher, "euler", 3, (3.0, 1.5)), wanted)
    foreign = {name.replace("blocks.", "double_blocks."): value for name, value in files["PEFT"].items()}
    save_file(
        {name: value for name, value in foreign.items() if "blocks" in name}, FOLDER / "loras" / "none.safetensors"
    )
    try:
        lora_node.MotionStreamLoadLora.execute(patcher, "none.safetensors", 1.0)
    except ValueError as refused:
        found["foreign"] = str(refused)
    return found


def partial_load(patcher: Any, share: float = 0.4) -> int:
    """Load the model as a device too small for it would; returns how many layers stayed behind."""
    size = patcher.model_size()
    if hasattr(patcher, "is_dynamic") and patcher.is_dynamic():
        raise RuntimeError("this host loads dynamically; start it with --disable-dynamic-vram")
    patcher.patch_model(device_to=patcher.load_device, lowvram_model_memory=int(size * share))
    modules = patcher.model.modules()
    return sum(hasattr(m, "prev_comfy_cast_weights") for m in modules)


def in_place(patcher: Any) -> Any:
    """Keep the host from loading the model anew, whole."""
    mm.load_models_gpu = lambda *_, **__: None
    return patcher


def partial() -> dict[str, Any]:
    found: dict[str, Any] = {}
    keep = mm.load_models_gpu
    for name, sample in (("teacher", by_core), ("student", streamed)):
        arguments = ("euler", 3, (3.0, 1.5)) if sample is by_core else ()
        patcher = hosted(name)
        bare = sample(patcher, *arguments)
        patched = with_lora(patcher, changes_of(patcher), 1.0)
        whole = sample(patched, *arguments)
        found[f"{name} changes"] = error(whole, bare)
        patched.unpatch_model(patched.offload_device)
        found[f"{name} layers behind"] = partial_load(patched)
        found[f"{name} patches behind"] = patched.model.lowvram_patch_counter
        in_place(patched)
        try:
            found[name] = error(sample(patched, *arguments), whole)
        finally:
            mm.load_models_gpu = keep
    return found


class NoDecoder:
    def push(self, latents: torch.Tensor) -> torch.Tensor:
        return torch.zeros(0)

    def flush(self) -> torch.Tensor:
        return torch.zeros(0)

    def reset(self) -> None:
        pass


def streamed(patcher: Any, name: str = "student") -> torch.Tensor:
    """The student's latents, by the chunk loop, with the model as the host holds it."""
    mm.load_models_gpu([patcher])
    view = models.stream_model(patcher)
    _, source = plain(name)
    source.model, source.context = (
        view.model,
        view.context(native.text_tokens(patcher.model.diffusion_model, "a red circle")),
    )
    with torch.inference_mode():
        chunks = stream.stream_chunks(view, source, NoDecoder(), num_latent_frames=NUM_LATENT_FRAMES)
        return torch.cat([chunk.latents for chunk in chunks], dim=2)


def student() -> dict[str, float]:
    loaded, source = plain("student")
    chunks = stream.stream_chunks(loaded, source, NoDecoder(), num_latent_frames=NUM_LATENT_FRAMES)
    ours = torch.cat([chunk.latents for chunk in chunks], dim=2)
    return {
        "float32": error(streamed(hosted("student")), ours),
        "float8": error(streamed(hosted("student", fp8=True)), ours),
    }


def ar_video() -> dict[str, Any]:
    """Core's SamplerARVideo, against our chunk loop with the same noise; and its refusal of unequal blocks."""
    if "ar_video" not in comfy.samplers.KSAMPLER_NAMES and not hasattr(
        importlib.import_module("comfy.k_diffusion.sampling"), "sample_ar_video"
    ):
        return {"absent": True}
    patcher, steps, seed = hosted("plain_student"), 3, 5
    spec = patcher.model.spec
    frames = 6
    latents = torch.zeros(1, spec.backbone.out_channels, frames, SIZE[0] // 8, SIZE[1] // 8)
    noise = comfy.sample.prepare_noise(latents, seed)
    sigmas = schedule.student_sigmas(spec.step_list, spec.shift)
    text = [[native.text_tokens(patcher.model.diffusion_model, "a red circle"), {}]]

    def run(given: Any, blocks: int) -> torch.Tensor:
        guider = comfy.samplers.CFGGuider(given)
        guider.inner_set_conds({"positive": text if given is patcher else conditioning(given, "a red circle")})
        sampler = comfy.samplers.ksampler("ar_video", {"num_frame_per_block": blocks})
        with torch.inference_mode():
            return guider.sample(noise, latents, sampler, sigmas, seed=seed)

    def same_noise(chunk: Any, step: int) -> torch.Tensor:
        if step == 0:
            return noise[:, :, chunk.start : chunk.stop]
        torch.manual_seed(seed + chunk.index * 1000 + step - 1)
        return torch.randn_like(noise[:, :, chunk.start : chunk.stop])

    loaded, source = plain("plain_student")
    size = (SIZE[0] // 8, SIZE[1] // 8)
    cache = loaded.model.make_cache(
        1,
        *size,
        sink_frames=spec.sink_frames,
        window_frames=spec.window_frames,
        chunk_frames=spec.chunk_plan.chunk_frames,
        rope_rule=spec.rope_rule,
    )
    with torch.inference_mode():
        rolled = rolling.rollout(
            loaded.model, spec.layout, source, plan=spec.chunk_plan, sigmas=sigmas, cache=cache, noise=same_noise,
            num_latent_frames=frames,
        )  # fmt: skip
        ours = torch.cat([chunk.latents for chunk in rolled], dim=2)
    assert steps == len(sigmas) - 1
    found: dict[str, Any] = {"error": error(run(patcher, 3), ours)}
    for name, given, blocks in (("other blocks", patcher, 2), ("unequal blocks", hosted("student"), 3)):
        try:
            run(given, blocks)
        except ValueError as refused:
            found[name] = str(refused)
    return found


def options() -> dict[str, Any]:
    """What nodes put around a MODEL, in core's sampler and streamed: torch.compile, an attention of their own."""
    found: dict[str, Any] = {}
    for name, sample in (("teacher", by_core), ("student", streamed)):
        arguments = ("euler", 2, (3.0, 1.5)) if sample is by_core else ()
        patcher = hosted(name)
        plain_result, calls, graphs = sample(patcher, *arguments), [], []

        def override(attend: Any, *given: Any, calls: list[int] = calls, **more: Any) -> torch.Tensor:
            calls.append(1)
            return attend(*given, **more)

        def backend(graph: Any, _: Any, graphs: list[int] = graphs) -> Any:
            graphs.append(1)
            return graph.forward

        other = patcher.clone()
        other.model_options["transformer_options"]["optimized_attention_override"] = override
        found[f"{name} attention"] = error(sample(other, *arguments), plain_result)
        found[f"{name} attention calls"] = len(calls)
        compiled = patcher.clone()
        set_torch_compile_wrapper(compiled, backend=backend)
        found[f"{name} compiled"] = error(sample(compiled, *arguments), plain_result)
        found[f"{name} graphs"] = len(graphs)
    return found


def full_vae() -> dict[str, float]:
    """Core's decoder, chunk by chunk, against its own decode of the whole; narrow VAEs of both kinds."""
    found = {}
    kinds = {
        "2.1": (wan21.WanVAE, {"dim": 8, "z_dim": 16}),
        "2.2": (wan22.WanVAE, {"dim": 8, "dec_dim": 8, "z_dim": 48}),
    }
    for name, (kind, sizes) in kinds.items():
        torch.manual_seed(1)
        model = kind(**sizes).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        held = types.SimpleNamespace(
            first_stage_model=model,
            latent_channels=sizes["z_dim"],
            patcher=None,
            device=torch.device("cpu"),
            vae_dtype=torch.float32,
            process_output=lambda frames: ((frames + 1) / 2).clamp(0, 1),
        )
        vae = vaes.stream_vae(held)
        latents = torch.randn(1, sizes["z_dim"], 6, 4, 6)
        with torch.inference_mode():
            whole = held.process_output(model.decode(vae.latent_format.process_out(latents)))[0].permute(1, 2, 3, 0)
            decoder = vae.decoder()
            parts = [decoder.push(part) for part in latents.split([1, 3, 2], dim=2)]
            decoder.reset()
            others = latents.flip(2)
            pairs = [decoder.push_both(*both) for both in zip(others.split(3, 2), latents.split(3, 2), strict=True)]
        found[f"{name} beside another"] = error(torch.cat([pair[1] for pair in pairs]), whole)
        found[name] = error(torch.cat(parts), whole) if torch.cat(parts).shape == whole.shape else 1e9
        found[f"{name} varies"] = float(whole.std())
    return found


def two_vaes() -> dict[str, Any]:
    """A student that is given its image as Track-v0 is: core's own VAE object encodes, a tiny one decodes."""
    torch.manual_seed(2)
    weights = wan21.WanVAE(dim=8, z_dim=16, temperal_downsample=[False, True, True]).state_dict()
    full = comfy.sd.VAE(sd={name: torch.randn_like(each) * 0.2 for name, each in weights.items()})
    looks_ahead = vaes.StreamVae(tiny_vaes.TinyVae(tiny_vaes.TAEW2_1).eval().requires_grad_(False), "taew2_1")
    PromptServer.instance = types.SimpleNamespace(client_id=None)  # nobody waits for previews
    patcher = hosted("grey_student")
    positive = [[torch.randn(1, 4, patcher.model.spec.backbone.text_dim), {}]]

    def run(vae: Any, decoder: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames and latents of the node."""
        made = streamer.execute(
            patcher, vae, "", SIZE[1], SIZE[0], 13, "crop", 5, -1, -1, -1,
            image=torch.rand(1, *SIZE, 3, generator=torch.Generator().manual_seed(4)),
            motion=tracks().to_payload(), positive=positive, decoder=decoder,
        ).args  # fmt: skip
        return made[0], made[1]["samples"]

    (alone, latents), (both, same) = run(full), run(full, looks_ahead)
    with torch.inference_mode():
        whole = looks_ahead.vae.decode(looks_ahead.latent_format.process_in(same))[0].permute(1, 2, 3, 0)
    found: dict[str, Any] = {
        "latents": error(same, latents),
        "frames": error(both, whole),
        "frames differ": error(both, alone),
    }
    try:
        run(looks_ahead)
    except ValueError as refused:
        found["refused"] = str(refused)
    return found


ALL = (teacher_agrees, schedules, batches, lora, lora_namings, partial, options, student, ar_video, full_vae, two_vaes)
CHECKS = {each.__name__: each for each in ALL if each.__name__ in (ONLY or [each.__name__])}

if __name__ == "__main__":
    print("PROOF " + json.dumps({name: check() for name, check in CHECKS.items()}))
