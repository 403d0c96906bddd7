"""PyTorch as a front end; the only room that imports torch."""
