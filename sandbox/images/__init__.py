"""OCI content store, registry client and layer index: images as content on disk, shared by every process.

Knows nothing of Docker's HTTP API. Blocking file work is plain synchronous code (callers use threads); asyncio appears
only in ``registry`` and ``archive``.
"""
