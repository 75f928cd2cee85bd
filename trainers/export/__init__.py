"""Trained models: loading, validating and exporting them."""
