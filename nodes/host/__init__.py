"""What ties the pack to ComfyUI: its layers, memory, MODEL, VAE, CONDITIONING and previews."""
