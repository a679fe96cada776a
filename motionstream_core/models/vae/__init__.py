"""The VAEs: Wan's own, and the tiny one that streams."""
