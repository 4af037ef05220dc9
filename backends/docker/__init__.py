"""The docker backend: a worker that drives a real Docker Engine, or Podman's service, at a socket."""
