"""Mitigation strategies, one a file."""
