"""MotionStream: streaming video generation with trajectories. Torch only; knows nothing of ComfyUI."""

__version__ = "0.1.0"
