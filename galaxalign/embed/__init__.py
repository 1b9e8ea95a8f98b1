"""Embeddings of galaxies, symbols and texts by a trained model."""
