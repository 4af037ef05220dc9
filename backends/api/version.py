"""This program's version, as workers and frontends tell it; pyproject.toml takes it from here."""

VERSION = "0.1.0"
