"""From galaxies as astronomers keep them to one store of pictures, labels and splits."""
