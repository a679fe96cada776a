"""Nodes that make, read, change, show and store tracks."""
