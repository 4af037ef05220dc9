"""Speaks Docker's HTTP API to clients and the engine API to a worker; keeps no container state."""
