"""Where containers run: the engine contract, the engine every worker shares, and one package a backend."""
