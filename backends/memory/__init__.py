"""The memory backend: containers as WebAssembly processes inside the worker."""
