"""Graph (no chip), Program (one chip), their text forms and rules."""
