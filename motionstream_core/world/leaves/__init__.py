"""The dead-leaves world: textured pictures and clips whose statistics are near enough to photos' to learn from.

Pictures of occluding shapes with power-law radii carry over to photos (Lee, Mumford and Huang 2001; Baradad et al.,
arXiv 2106.05963; Achddou et al., arXiv 2103.11883). Every clip is a pure function of its seed.
"""

from .clip import Layer, LeavesClip, LeavesScene, render_leaves, sample_leaves
from .picture import leaves_picture

__all__ = ["Layer", "LeavesClip", "LeavesScene", "leaves_picture", "render_leaves", "sample_leaves"]
