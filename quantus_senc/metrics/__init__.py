"""The metrics that Quantus calls."""
