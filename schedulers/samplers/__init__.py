"""Samplers propose the next candidate, given what was observed of earlier ones, and recommend the best."""
