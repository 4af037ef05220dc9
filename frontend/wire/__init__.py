"""The syntax of Docker's API without any I/O: versions, queries, filters, bodies, times, errors in Go's words."""
