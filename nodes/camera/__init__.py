"""Nodes for camera moves as tracks."""
