"""The scale of the study: a world of 64 px, a quarter of the bundled model's tokens, so that many can be trained."""

from __future__ import annotations

from motionstream_core.world import Level

SIZE_PX = 64
CELLS = SIZE_PX // 8
NUM_FRAMES = 61  # rendered; 16 latent frames, which chunks of 1, 3 and 5 fill, and 15 of them chunks of 7
LATENT_FRAMES = 13  # of a training sample: 49 frames
TRACK_DRAWS = 1  # track selections stored with every clip

# Radii are in px of a 128 px frame: 9 to 14 px here, a cell or more at the VAE's stride of 8.
LARGE = Level("large", 0.4, 2, 0.0, 0.2, max_sprites=2, min_radius_px=18.0, max_radius_px=28.0)
