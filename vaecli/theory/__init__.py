"""What must happen: optima and thresholds known without training."""
