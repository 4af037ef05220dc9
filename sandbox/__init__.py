"""Local execution: images, and containers as WebAssembly processes. Knows nothing of Docker's API."""
