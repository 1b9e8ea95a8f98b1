"""The shapes of galaxies: one geometry, drawn as a symbol or rendered as a galaxy."""
