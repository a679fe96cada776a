"""Streams: the chunk loop, live steering and decoding."""
