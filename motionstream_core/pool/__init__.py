"""Jobs that do not depend on each other, in this process or over a Ray cluster."""
