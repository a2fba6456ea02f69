"""Data sets by name: each option module defines one DataSet, whose fields are its yaml keys."""
