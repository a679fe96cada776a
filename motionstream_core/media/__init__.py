"""Video and picture files: one reader and one writer of each for the whole project. What they take: docs/files.md."""
