"""From a command line to the config of each run."""
