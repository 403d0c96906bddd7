"""ways into anychip."""
