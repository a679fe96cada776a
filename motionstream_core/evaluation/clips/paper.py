"""The figures of "MotionStream" (arXiv 2511.01266) for its model of 1.3B, as its tables have them, at 832x480."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperFigure:
    """A row of the paper: PSNR in dB, SSIM, LPIPS, EPE in px of 832x480, frames a second, seconds per chunk."""

    what: str
    psnr_db: float | None = None
    ssim: float | None = None
    lpips: float | None = None
    epe_px: float | None = None
    frames_per_second: float | None = None
    latency_s: float | None = None


PAPER = (
    PaperFigure("paper: teacher 1.3B, DAVIS", 16.61, 0.477, 0.427, 5.35),
    PaperFigure("paper: student 1.3B, DAVIS", 16.20, 0.447, 0.443, 7.80),
    PaperFigure("paper: teacher 1.3B, Sora clips", 17.82, 0.586, 0.333, 2.71),
    PaperFigure("paper: student 1.3B, Sora clips", 16.67, 0.531, 0.360, 4.21),
    PaperFigure("paper: ATI 14B, DAVIS", epe_px=17.41),
    PaperFigure("paper: student 1.3B, one H100, full VAE", frames_per_second=16.7, latency_s=0.69),
    PaperFigure("paper: student 1.3B, one H100, tiny VAE", frames_per_second=29.5, latency_s=0.39),
)
PAPER_CAMERA = (
    PaperFigure("paper: teacher 1.3B, LLFF", 16.0, 0.42, 0.21),
    PaperFigure("paper: student 1.3B, LLFF", 15.7, 0.38, 0.23),
)
