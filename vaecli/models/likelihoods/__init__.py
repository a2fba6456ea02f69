"""Likelihoods p(x|z), one a file."""
