"""Joint text and motion guidance for core's samplers (arXiv 2511.01266, Eq. 2)."""

from __future__ import annotations

from typing import Any

import comfy.samplers
from torch import Tensor

from ...motionstream_core.diffusion.guidance import Pass, active_passes, combine, guidance_coefficients
from ..host.conditioning import NO_MOTION, Conditioning, has_tracks, with_values

CONDS = {Pass.JOINT: "positive", Pass.MOTION_ONLY: "negative", Pass.TEXT_ONLY: "text_only"}


class JointGuider(comfy.samplers.CFGGuider):
    """A GUIDER whose passes (text and motion, motion alone, text alone) core batches as memory allows.

    The samplers' predictions are clean latents, linear in the velocity at one noise level, and the coefficients sum to
    1: to guide one is to guide the other.
    """

    def __init__(self, model: Any, text_weight: float, motion_weight: float) -> None:
        super().__init__(model)
        self.weights = text_weight, motion_weight
        guidance_coefficients(*self.weights)  # raises for a weight that is no weight

    def set_conds(self, positive: Conditioning, negative: Conditioning) -> None:
        """Positive and negative prompt, both with the image and the tracks; without tracks the motion counts as 0."""
        if not has_tracks(positive):
            self.weights = self.weights[0], 0.0
        text_only = with_values(positive, {NO_MOTION: True, "prompt_type": "positive"})
        self.inner_set_conds({"positive": positive, "negative": negative, "text_only": text_only})

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: dict[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        """The guided clean prediction at one noise level."""
        options = model_options or {}
        coefficients = guidance_coefficients(*self.weights)
        passes = active_passes(coefficients)
        conds = [self.conds[CONDS[each]] for each in passes]
        predictions = comfy.samplers.calc_cond_batch(self.inner_model, conds, x, timestep, options)
        by_pass = dict(zip(passes, predictions, strict=True))
        guided = combine(coefficients, by_pass)
        for hook in options.get("sampler_post_cfg_function", []):
            guided = hook(self._for_hook(guided, by_pass, x, timestep, options))
        return guided

    def _for_hook(
        self, guided: Tensor, by_pass: dict[Pass, Tensor], x: Tensor, timestep: Tensor, options: dict[str, Any]
    ) -> dict[str, Any]:
        """What core gives a node's hook after guidance; a pass that was not needed is None."""
        return {
            "denoised": guided,
            "cond": self.conds["positive"],
            "uncond": self.conds["negative"],
            "cond_scale": self.weights[0],
            "model": self.inner_model,
            "uncond_denoised": by_pass.get(Pass.MOTION_ONLY),
            "cond_denoised": by_pass.get(Pass.JOINT),
            "sigma": timestep,
            "model_options": options,
            "input": x,
        }
