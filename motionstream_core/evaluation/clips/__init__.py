"""Evaluation on real clips: data sets, cases, judging, tables and pages."""
