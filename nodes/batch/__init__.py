"""Nodes for many renders from one table."""
