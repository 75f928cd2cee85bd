"""What can be built: candidates, search spaces, token mixers and backbones."""

import os

if os.environ.get("SEARCHSPACE_FILE"):  # a trial's process: the user's mixers must be known before a text is parsed
    from pathlib import Path

    from searchspace.user_space import load

    load(Path(os.environ["SEARCHSPACE_FILE"]))
