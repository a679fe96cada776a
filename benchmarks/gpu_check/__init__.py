"""Everything that a GPU can tell in ten minutes: is the arithmetic right, how fast is it, where does the time go."""
