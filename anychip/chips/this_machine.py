"""Where the calibration of the machine at hand is kept, and the chip that it describes."""

from __future__ import annotations

import os
from pathlib import Path

#: Names under which the calibrated machine is asked for.
NAMES = ("this-machine", "this")


def home() -> Path:
    """Folder of what anychip keeps for a user: ``ANYCHIP_HOME``, else ``anychip`` among the user's data."""
    given = os.environ.get("ANYCHIP_HOME")
    if given:
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "anychip"


def saved_path() -> Path:
    """File of the latest calibration; it need not exist."""
    return home() / "this_machine.py"
