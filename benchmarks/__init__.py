"""Measurements: every number is a ratio of medians taken in one run on one machine."""
