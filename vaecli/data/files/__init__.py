"""Readers of file formats, and the place of large arrays."""
