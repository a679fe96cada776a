"""From files to a file: prompts and pictures read, a stream made, its frames written."""
