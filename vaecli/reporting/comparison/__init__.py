"""Runs side by side: what was swept, what came of it, as tables, plots and a page."""
