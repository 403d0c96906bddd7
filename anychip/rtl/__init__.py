"""blocks and chips in Amaranth; the only room that imports it."""
