"""From jobs to finished runs: planned, opened, run alone or stacked, resumed, launched."""
