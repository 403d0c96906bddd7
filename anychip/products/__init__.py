"""what a user calls: run, choose, crosscheck, cli."""
