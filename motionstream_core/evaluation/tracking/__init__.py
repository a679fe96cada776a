"""How well a tracker follows points: against the true points of rendered clips, and there and back through any video.

`python -m motionstream_core.evaluation.tracking` prints the tables of docs/tracking.md.
"""
