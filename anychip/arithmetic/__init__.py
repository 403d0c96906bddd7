"""sums, functions, recipes and numerics as data."""
