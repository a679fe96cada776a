"""Which sizes, presets and stages make a model: the bundled one, and Wan."""
