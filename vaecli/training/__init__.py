"""Training: one run, or many at once."""
