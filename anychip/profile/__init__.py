"""Trace to Profile, to words and pictures."""
