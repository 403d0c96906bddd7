"""anychip runs any workload, unchanged, on any chip, and gives its results, time, energy and cost."""

from __future__ import annotations

__version__ = "0.1.0"
