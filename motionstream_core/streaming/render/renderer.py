"""A model with all it needs to make video by itself: prompts encoded, image encoded, latents decoded."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...checkpoints.fingerprint import fingerprint
from ...checkpoints.kinds import kind_of
from ...checkpoints.load import LoadedModel, load_model, load_tiny_vae
from ...checkpoints.read import read_stored
from ...checkpoints.spec import ModelSpec, Role
from ...checkpoints.vae_weights import load_vae
from ...models.encoders import require_parts
from ...models.fp8 import Arithmetic, require_fp8, to_fp8
from ...models.offload import place, weight_bytes
from ...models.precision import cpu_is_fast_in_bf16
from ...models.vae.tiny_vae import TinyVae
from ...models.vae.wan_vae import WanVae
from ...tracks import Tracks
from ..conditions import KnownTracks, StreamConditions
from ..decode import FullStreamingDecoder, StreamingDecoder, TinyStreamingDecoder
from ..going_on import Before, begin
from ..state import StreamState, resumable_stream
from ..state_file import Maker
from ..stream import StreamSettings, named, sample_teacher
from .parts import Part, find_parts
from .prompts import EncodedPrompt, OwnWords, PromptSource, WanPrompts

TINY_VAE_FILE = "tiny_vae.safetensors"
DECODER_VALUES = 6 * 1024  # that the full VAEs hold at once for every pixel, features of the stream included
LEAST_RESERVE_BYTES = 2**30  # for activations, however small the frames are
Vae = TinyVae | WanVae


@dataclass(frozen=True)
class TeacherSettings:
    """How a teacher samples; None takes the checkpoint's own weights."""

    num_steps: int = 50
    text_weight: float | None = None
    motion_weight: float | None = None


class Renderer:
    """Frames from an encoded prompt, an image and tracks, by a student's stream or a teacher's whole clip.

    encoder, decoder: the VAEs that images go in by and latents come out by, often one and the same. The transformer
    moves to `device` when the first video is asked for, which leaves the memory to the prompts' encoders before.
    budget_bytes: of the device for the transformer's weights, None for all of them (`models.offload`).
    weights: fingerprint of the checkpoint's weights, where the model holds them in another form. compiled: the
    transformer's blocks are run by torch.compile (`WanModel.compile_blocks`).
    """

    def __init__(
        self,
        loaded: LoadedModel,
        prompts: PromptSource,
        encoder: Vae,
        decoder: Vae,
        device: torch.device,
        budget_bytes: int | None = None,
        weights: str | None = None,
        compiled: bool = False,
    ) -> None:
        _require_fit(loaded, encoder, decoder)
        self.loaded, self.device, self._budget, self._weights = loaded, device, budget_bytes, weights
        self._prompts, self.encoder, self.decoder = prompts, encoder, decoder
        self._compiled, self._settled = compiled, False

    def prepare(self, prompts: Sequence[str]) -> None:
        """Encode the prompts of jobs that come one by one, before the first video; `encode` then has them."""
        self._prompts.prepare(prompts)

    def encode(self, prompts: Sequence[str], images: Sequence[Tensor | None]) -> list[EncodedPrompt]:
        """All prompts of a job, each with its first image (3 h w) in [0, 1]: encode them all before the first video."""
        return self._prompts.encode(prompts, images)

    @torch.no_grad()
    def video(
        self,
        prompt: EncodedPrompt,
        image: Tensor | None,
        tracks: Tracks,
        num_frames: int,
        *,
        settings: StreamSettings | None = None,
        teacher: TeacherSettings | None = None,
        negative: EncodedPrompt | None = None,
        frame_size: tuple[int, int] | None = None,
        keep: Callable[[StreamState], None] | None = None,
    ) -> Generator[Tensor, None, None]:
        """Frames (t h w 3) in [0, 1], chunk by chunk of a student, all at once of a teacher.

        image: (3 h w) in [0, 1], its size the video's; frame_size (height, width) where the model takes none.
        negative: what stands for "no text" to a teacher, who needs it. keep: is given the state in which a student's
        stream ends. Raises ValueError for a length that fills no whole chunks, and for a model and conditions that do
        not go together.
        """
        self.loaded.spec.lengths.moving.check(num_frames)
        num_latent_frames = self.loaded.spec.vae_stride.num_latent_frames(num_frames)
        self.settle()
        loaded = self.loaded
        conditions = StreamConditions(
            loaded.model,
            loaded.spec,
            prompt.context(loaded),
            KnownTracks(tracks),
            image=None if image is None else image[None, :, None].to(self.device),
            vae=self.encoder,
            frame_size=frame_size,
        )
        if loaded.spec.role == "student":
            decoder, settings = streaming_decoder(self.decoder), named(settings or StreamSettings(), loaded)
            for chunk in resumable_stream(
                loaded, conditions, decoder, num_latent_frames=num_latent_frames, settings=settings, keep=keep
            ):
                yield chunk.frames
            return
        if negative is None:
            raise ValueError("a teacher needs a negative prompt (it may be empty) for its guidance")
        teacher = teacher or TeacherSettings()
        latents = sample_teacher(
            loaded,
            conditions,
            negative.context(loaded),
            num_latent_frames=num_latent_frames,
            num_steps=teacher.num_steps,
            text_weight=teacher.text_weight,
            motion_weight=teacher.motion_weight,
            seed=(settings or StreamSettings()).seed,
            batched=self._budget is None,
        )
        yield streaming_decoder(self.decoder).push(latents)

    @torch.no_grad()
    def going_on(
        self,
        prompt: EncodedPrompt,
        before: Before,
        tracks: Tracks | None,
        num_frames: int,
        *,
        settings: StreamSettings | None = None,
        keep: Callable[[StreamState], None] | None = None,
    ) -> Generator[Tensor, None, None]:
        """What follows `before`: `num_frames` new frames (t h w 3) in [0, 1], chunk by chunk.

        tracks: from the last frame on; None for those that a saved stream still had. keep: see `video`. Raises
        ValueError for a teacher, and for a length that fills no whole chunks.
        """
        loaded, spec = self.loaded, self.loaded.spec
        spec.chunk_lengths.check(num_frames)
        self.settle()
        if before.frames is not None:
            before = Before(before.frames.to(self.device))
        begun = begin(spec, self.encoder, before, before.tracks_after(tracks))
        conditions = StreamConditions(
            loaded.model, spec, prompt.context(loaded), begun.tracks, source=begun.source, frame_size=before.size
        )
        own = StreamSettings() if before.state is None else before.state.settings
        chunks = resumable_stream(
            loaded,
            conditions,
            streaming_decoder(self.decoder),
            num_latent_frames=before.num_latent_frames(spec) + num_frames // spec.vae_stride.time,
            settings=named(settings or own, loaded),
            given=begun.given,
            state=begun.state,
            keep=keep,
        )
        for chunk in chunks:
            yield chunk.frames

    def maker(self, name: str) -> Maker:
        """What a saved stream says of this model, called `name`."""
        weights = self._weights or fingerprint(self.loaded.model.state_dict())
        return Maker(name, self.loaded.spec.to_json(), weights)

    @torch.no_grad()
    def reconstruction(self, frames: Tensor) -> Tensor:
        """Frames (t h w 3) of a clip (t h w 3) in [0, 1] sent through the VAE: no model can do better."""
        self.settle()
        latents = self.encoder.encode(frames.permute(3, 0, 1, 2)[None].to(self.device))
        return streaming_decoder(self.decoder).push(latents)

    def settle(self) -> None:
        """Bring everything to the device; the first video does it by itself.

        Raises ValueError where blocks are to be compiled whose weights have no room there.
        """
        if self._settled:
            return
        self.encoder.to(self.device)
        self.decoder.to(self.device)
        waiting = place(self.loaded.model, self.device, self._budget, pin=True)
        if self._compiled and waiting:
            raise ValueError(
                f"compile: {waiting / 2**30:.1f} GiB of the weights have no room on the device and wait on the CPU, "
                "where compiled blocks cannot fetch them; leave the option out"
            )
        if self._compiled:
            self.loaded.model.compile_blocks()
        self._settled = True


def open_renderer(
    model: str | Path,
    *,
    vae: str | Path | None = None,
    encoders: str | Path | None = None,
    role: Role | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    budget_bytes: int | None = None,
    arithmetic: Arithmetic = "plain",
    compiled: bool = False,
) -> Renderer:
    """A renderer of local files; nothing is downloaded.

    model: a checkpoint file, or a folder in diffusers' layout (transformer, text_encoder, tokenizer, vae, and for a
        model with image cross-attention image_encoder and image_processor).
    vae: what decodes in place of the model's own: a tiny VAE's file, or a folder with AutoencoderKLWan. A model with
        words of its own takes `tiny_vae.safetensors` beside it when none is given.
    dtype: what it computes in; None is bf16 on GPUs and on CPUs that are fast in it (`models.precision`), else float32.
    role: of a file that does not tell whether it is a student's (`checkpoints.load.read_checkpoint`).
    encoders: a folder whose encoders and VAE a file takes, one without words of its own; what the folder lacks, the
        file must hold itself (`parts.find_parts`).
    budget_bytes: of the device for the weights of the transformer and of each encoder in its turn; None takes what is
        free beside the stream's cache and `reserve_bytes`.
    arithmetic: how the transformer's large matrices are multiplied by: in `dtype`, or in fp8 (`models.fp8`).
    compiled: see `Renderer`.

    Raises FileNotFoundError naming the part that is missing, ValueError for parts that do not go together, and for fp8
    where the device or the model does not have it.
    """
    device = device or torch.device("cpu")
    path = Path(model)
    if path.is_dir():
        require_parts(path, ("transformer",))
    dtype = dtype or (torch.bfloat16 if device.type != "cpu" or cpu_is_fast_in_bf16() else torch.float32)
    if arithmetic == "fp8":
        require_fp8(device, dtype)
    loaded, weights = load_model(path, dtype, role=role), None
    if arithmetic == "fp8":
        weights = fingerprint(loaded.model.state_dict())
        to_fp8(loaded.model)
    free = free_bytes(device, reserve_bytes(loaded.spec, dtype)) if budget_bytes is None else budget_bytes
    if budget_bytes is None and free is not None:
        left = max(0, free - loaded.spec.cache_bytes(loaded.spec.frame_size, dtype.itemsize))
        budget_bytes = None if weight_bytes(loaded.model) <= left else left
    if loaded.spec.vocabulary:
        tiny = open_vae(Path(vae) if vae is not None else path.with_name(TINY_VAE_FILE), dtype)
        return Renderer(loaded, OwnWords(), tiny, tiny, device, budget_bytes, weights, compiled)
    backbone = loaded.spec.backbone
    needed: list[Part] = ["tokenizer", "text_encoder"]
    if backbone.image_dim is not None:
        needed.append("image_encoder")
    if vae is None or loaded.spec.image_rule != "none":
        needed.append("vae")
    parts = find_parts(path, None if encoders is None else Path(encoders), needed)
    encoder = open_vae(parts.where("vae") if "vae" in needed else Path(str(vae)), dtype)
    decoder = open_vae(Path(vae), dtype) if vae is not None and "vae" in needed else encoder
    prompts = WanPrompts(parts, backbone.text_dim, backbone.image_dim, device, dtype, free)
    return Renderer(loaded, prompts, encoder, decoder, device, budget_bytes, weights, compiled)


def reserve_bytes(spec: ModelSpec, dtype: torch.dtype) -> int:
    """What a GPU is left beside weights and cache: enough for a full VAE to encode and decode the spec's frames."""
    height, width = spec.frame_size
    return max(LEAST_RESERVE_BYTES, DECODER_VALUES * dtype.itemsize * height * width)


def free_bytes(device: torch.device, reserve: int) -> int | None:
    """What weights may take of a GPU beside `reserve`, as it is now; None for the CPU, which holds them anyway."""
    return max(0, torch.cuda.mem_get_info(device)[0] - reserve) if device.type == "cuda" else None


def open_vae(path: Path, dtype: torch.dtype) -> Vae:
    """A file or folder: a full VAE in `dtype`, or a tiny one, which decodes in it and encodes in float32."""
    if kind_of(read_stored(path, "vae")) != "tiny VAE":
        return load_vae(path, dtype)
    return load_tiny_vae(path).decode_in(dtype)


def streaming_decoder(vae: Vae) -> StreamingDecoder:
    """A decoder of a stream of latents, by a tiny or a full VAE."""
    return TinyStreamingDecoder(vae) if isinstance(vae, TinyVae) else FullStreamingDecoder(vae)


def _require_fit(loaded: LoadedModel, encoder: Vae, decoder: Vae) -> None:
    spec = loaded.spec
    for vae in (encoder, decoder):
        for name, found, wanted in (
            ("latent channels", vae.num_channels, spec.backbone.out_channels),
            ("VAE strides", vae.stride, spec.vae_stride),
        ):
            if found != wanted:
                raise ValueError(f"{name}: the model takes {wanted}, this VAE gives {found}; use the model's own")
    if spec.image_rule == "grey_clip" and isinstance(encoder, TinyVae) and encoder.config.encoder_lookahead:
        raise ValueError("this tiny VAE encodes with lookahead, which this model's grey clip does not allow")
