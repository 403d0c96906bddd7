"""Program to Trace."""
