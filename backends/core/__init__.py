"""The engine that every worker shares: Docker's semantics over a backend's drivers."""
