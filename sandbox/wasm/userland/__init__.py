"""The sandbox's programs: recipes that build busybox, bash and rsync from Debian's sources, and an image of them."""
