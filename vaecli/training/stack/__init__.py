"""Stacks: many runs in one training."""
