"""Theory: optima and thresholds that are computed without training."""
