"""what an operator means, as data."""
