"""Sockerless as it is installed: configuration, supervised processes and the command line."""
