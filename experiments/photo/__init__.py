"""A first student that moves photos, trained in nine minutes of one GPU (docs/log.md); not yet in the bundle."""
