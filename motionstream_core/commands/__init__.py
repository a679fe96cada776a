"""What is typed: the commands that need several rooms; the others lie in theirs as `command.py`."""
