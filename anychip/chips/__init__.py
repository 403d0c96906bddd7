"""blocks wired together; the catalogue; instances and prices."""
