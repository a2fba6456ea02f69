"""One run, from its config to its report; sweeps and launchers."""
