"""Sweeps whose jobs run elsewhere."""
