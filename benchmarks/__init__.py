"""What our engine costs beside Debian's dockerd, measured in the same run."""
