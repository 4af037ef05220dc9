"""The engine contract: all that a frontend knows of a backend."""
