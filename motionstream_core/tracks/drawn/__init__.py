"""Trajectories as they were drawn: the document of control points, its curves and its timing."""
