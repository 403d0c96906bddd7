"""Trace to Profile, and a Profile to words and pictures; energy and money.

May import simulate, programs, chips and the ground floor. Read `profile.py` for the nouns, then
`summarize.py`; each report has its own file.
"""

from anychip.profile.profile import Profile
from anychip.profile.summarize import summarize

__all__ = ["Profile", "summarize"]
