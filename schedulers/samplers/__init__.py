"""Samplers: who proposes the next candidate."""
