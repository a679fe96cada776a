"""Tracks out of a video: the face of every point tracker, OpenCV behind it, and CoTracker3."""
