"""Data sets: how images are found, decoded, augmented and made into batches."""
