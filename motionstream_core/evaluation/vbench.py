"""VBench-I2V by its own package (Vchitect/VBench, `vbench2_beta_i2v`), where that is installed.

It brings networks of its own, and fetches those that are not in its cache (VBENCH_CACHE_DIR) when it is asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

DIMENSIONS = (
    "i2v_subject",
    "i2v_background",
    "subject_consistency",
    "background_consistency",
    "motion_smoothness",
    "dynamic_degree",
    "aesthetic_quality",
    "imaging_quality",
    "temporal_flickering",
)
NAME = "motionstream"
FETCHES = "VBench looks for its networks in VBENCH_CACHE_DIR (~/.cache/vbench) and fetches those that are not there"


def require_vbench() -> None:
    """Raises ImportError, saying what to install, where the package is not there."""
    try:
        import vbench2_beta_i2v  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            f"--vbench needs VBench-I2V, and it cannot be imported ({error}); install github.com/Vchitect/VBench in an "
            "environment of its own and run motionstream there"
        ) from error


def vbench_scores(
    videos: Path, images: Path, dimensions: Sequence[str], out: Path, device: torch.device
) -> dict[str, float]:
    """The score of every dimension, of a folder of mp4 files and the folder of their first frames.

    Each video's image has its name; names end in no dash and number, which VBench takes for a sample's. out: folder of
    VBench's own files. Raises as `require_vbench` does.
    """
    require_vbench()
    from vbench2_beta_i2v import VBenchI2V  # pyright: ignore[reportMissingImports]

    # the list of VBench's own prompts is not read for videos that are brought
    VBenchI2V(device, "", str(out)).evaluate(
        videos_path=str(videos),
        name=NAME,
        dimension_list=list(dimensions),
        custom_image_folder=str(images),
        mode="custom_input",
        local=True,
        imaging_quality_preprocessing_mode="longer",
    )
    found = json.loads((out / f"{NAME}_eval_results.json").read_text("utf-8"))
    return {name: float(found[name][0]) for name in dimensions}
