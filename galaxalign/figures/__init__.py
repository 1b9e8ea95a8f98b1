"""Figures, drawn from metrics, embeddings and stores alone."""
