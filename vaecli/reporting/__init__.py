"""Reports of runs: console, TensorBoard, plots, pages, tables."""
