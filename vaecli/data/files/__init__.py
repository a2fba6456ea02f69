"""Readers of file formats, and how what they read is kept."""
