"""Docker's Engine API: one module per area, each a Falcon resource over the engine."""
