"""How well a model tells galaxies apart and finds galaxies that look alike."""
