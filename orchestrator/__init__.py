"""From a command line to trials under Ray: the room where all others meet, and the only importer of Ray."""
