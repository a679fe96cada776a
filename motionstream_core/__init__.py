"""MotionStream: streaming video generation with trajectories. Torch only; knows nothing of ComfyUI."""
