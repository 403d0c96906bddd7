"""how numbers are written in bits."""
