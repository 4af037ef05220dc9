"""Identifiers, and names for containers that were given none."""

from __future__ import annotations

import re
import secrets
from collections.abc import Container

from backends.api.errors import InvalidArgument

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")

_ADJECTIVES_TEXT = (
    "able agile amber ample apt arctic autumn bold brave breezy bright brisk calm candid careful civil clever "
    "cosmic crisp curious dapper daring deft eager early earnest easy fair famous fancy fearless fine fluent fond "
    "frank fresh gentle glad golden graceful grand happy hardy honest humble ideal jolly keen kind lively lucid "
    "lucky mellow merry mild modest neat nimble noble patient plain polite proud prudent quick quiet rapid ready "
    "robust rosy serene sharp silent simple sincere smart snug sober solid sound spry steady stoic sunny swift "
    "tidy tender trusty upbeat vivid warm wise witty"
)
_ADJECTIVES = _ADJECTIVES_TEXT.split()
_SURNAMES_TEXT = (
    "abel agnesi ampere anning arago babbage banach bassi bernoulli bohr boole brahe cantor carson celsius "
    "chandra clarke cori curie darwin davy dijkstra dirac euclid euler faraday fermat fermi feynman fibonacci "
    "fourier franklin galileo galois gauss germain goodall haber halley hamilton herschel hertz hilbert hodgkin "
    "hopper hubble huygens hypatia jemison joule kelvin kepler kovalevskaya lagrange lamarr laplace leavitt "
    "leibniz linnaeus lovelace maxwell mayer mcclintock meitner mendel mirzakhani napier nash newton nightingale "
    "nobel noether ohm pascal pasteur pauli perlman planck ptolemy ramanujan riemann ritchie rubin sagan shannon "
    "somerville tesla thales turing volta watt wu yalow"
)
_SURNAMES = _SURNAMES_TEXT.split()


def new_id() -> str:
    """Return 64 hex digits; never all decimal in the first twelve, which would read as a number."""
    while True:
        value = secrets.token_hex(32)
        if not value[:12].isdecimal():
            return value


def generate_name(taken: Container[str]) -> str:
    """Return a free name like "brave_lovelace"."""
    while True:
        name = f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_SURNAMES)}"
        if name not in taken:
            return name
        name += secrets.token_hex(2)
        if name not in taken:
            return name


def check_name(name: str) -> str:
    """Return a container's name without its leading slash; InvalidArgument when it is malformed."""
    bare = name.removeprefix("/")
    if not NAME.match(bare):
        raise InvalidArgument(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return bare
