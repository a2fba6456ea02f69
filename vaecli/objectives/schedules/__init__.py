"""Schedules of beta, one a file."""
