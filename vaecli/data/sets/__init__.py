"""Bases of the data sets: splits, downloads, statistics."""
