"""Networks: the DiT and its parts, the full VAE and the tiny VAE."""
