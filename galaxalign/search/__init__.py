"""Use of a trained model: predictions and similarity search."""
