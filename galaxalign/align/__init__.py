"""Two-stage fine-tuning that aligns images, symbols and texts."""
