"""The diagnosis of a trained model: its figures, and the verdict."""
