"""Nodes for the teacher, and for core's own samplers."""
