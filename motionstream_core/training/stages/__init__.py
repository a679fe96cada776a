"""What is trained, one stage a file, in the order of the method."""
