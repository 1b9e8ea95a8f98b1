"""How fast the parts of GalaxAlign are."""
