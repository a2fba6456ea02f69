"""Sweeps that this process trains."""
