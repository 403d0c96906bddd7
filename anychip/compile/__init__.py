"""Graph to Program: fuse, tile, place, order."""
