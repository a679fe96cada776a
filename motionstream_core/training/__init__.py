"""Training: one file per stage, one command (`python -m motionstream_core.training`)."""
