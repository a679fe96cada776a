"""Stage tiny-vae: the tiny encoder and decoder."""
