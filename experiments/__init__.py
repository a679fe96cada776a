"""The evidence: small experiments on a world of their own, run and stored by `python -m experiments`."""
