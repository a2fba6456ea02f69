"""What a run shows: console, TensorBoard, plots, page, tables."""
