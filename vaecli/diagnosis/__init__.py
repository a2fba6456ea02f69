"""What is measured of a trained model, and the verdict."""
