"""Imports every module that registers system calls."""

import importlib
import pkgutil

import sandbox.wasm.kernel as package

for _module in pkgutil.iter_modules(package.__path__):
    if _module.name.startswith("sys_"):
        importlib.import_module(f"{package.__name__}.{_module.name}")
