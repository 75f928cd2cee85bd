"""How a candidate is trained and what it costs; knows nothing of Ray."""
