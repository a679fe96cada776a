"""How well a video follows its tracks, and how good it looks."""
