"""Posterior families q(z|x)."""
