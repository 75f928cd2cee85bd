"""What can be built: candidates, search spaces, token mixers and backbones."""
