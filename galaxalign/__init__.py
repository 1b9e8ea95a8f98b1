"""GalaxAlign: tri-modal alignment of galaxy images, schematic symbols and texts (arXiv 2411.19475)."""
