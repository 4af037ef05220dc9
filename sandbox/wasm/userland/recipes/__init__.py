"""How each program is built. Every file of this folder is part of a build's hash, as is the overlay."""
