"""Data sets, their batches and their augmentation."""
