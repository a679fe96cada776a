"""A camera as tracks: its moves, its path, depth, and what it sees."""
