"""Containers as WebAssembly processes on a Linux-like kernel written in Python."""
