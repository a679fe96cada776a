"""Nodes that stream video, and what every sampling node checks first."""
