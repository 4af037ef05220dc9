"""Inspect answers in Docker's form, with what each API version adds or leaves out."""

from __future__ import annotations

from typing import Any

import msgspec

from backends.api import types as t
from frontend.wire.versions import Version

_LEGACY = ("EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress", "IPPrefixLen")


_IMAGE_CONFIG: dict[str, Any] = {
    "User": "", "Env": None, "Cmd": None, "Volumes": None, "WorkingDir": "", "Entrypoint": None, "OnBuild": None,
    "Labels": None,
}  # fmt: skip
_OLDER_IMAGE_CONFIG: dict[str, Any] = {
    "Hostname": "", "Domainname": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False, "Tty": False,
    "OpenStdin": False, "StdinOnce": False, "Image": "",
}  # fmt: skip


def render_container(container: t.Container, version: Version) -> dict[str, Any]:
    """Docker's ContainerInspectResponse."""
    fields: dict[str, Any] = msgspec.to_builtins(container)
    for name in ("SizeRw", "SizeRootFs"):
        if fields[name] is None:
            del fields[name]
    fields |= {"MountLabel": "", "ProcessLabel": "", "AppArmorProfile": ""}
    fields["GraphDriver"] = {"Name": container.driver, "Data": None}
    _legacy_network(fields["NetworkSettings"])
    if version < (1, 45):
        _short_alias(fields)
    return fields


def _legacy_network(settings: dict[str, Any]) -> None:
    """Up to API 1.51 the default bridge's endpoint shows in NetworkSettings itself too."""
    bridge = settings["Networks"].get("bridge", {})
    settings |= {name: bridge.get(name, 0 if name.endswith("PrefixLen") else "") for name in _LEGACY}
    settings |= {
        "IPv6Gateway": bridge.get("IPv6Gateway", ""),
        "MacAddress": bridge.get("MacAddress", ""),
        "Bridge": "",
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
    }


def _short_alias(fields: dict[str, Any]) -> None:
    """Before API 1.45 the short id was one of the aliases on user-defined networks."""
    short = fields["Id"][:12]
    for name, endpoint in fields["NetworkSettings"]["Networks"].items():
        if name not in ("bridge", "host", "none"):
            endpoint["Aliases"] = [*(endpoint["Aliases"] or []), short]


def _image_config(config: t.Json, version: Version) -> dict[str, Any]:
    """What an image does not set shows empty. Since API 1.50 it has no fields that are a container's alone."""
    if version < (1, 50):
        return {**_OLDER_IMAGE_CONFIG, **_IMAGE_CONFIG, **config}
    return {**_IMAGE_CONFIG, **{key: value for key, value in config.items() if key not in _OLDER_IMAGE_CONFIG}}


def render_image(image: t.Image, version: Version) -> dict[str, Any]:
    """Docker's ImageInspect."""
    fields: dict[str, Any] = msgspec.to_builtins(image)
    layers, tagged = fields.pop("Layers"), fields.pop("LastTagTime")
    fields["RootFS"] = {"Type": "layers", "Layers": layers}
    fields["Metadata"] = {"LastTagTime": tagged}
    fields["Config"] = _image_config(image.config, version)
    if not image.variant:
        del fields["Variant"]
    if version < (1, 44):
        fields |= {"VirtualSize": image.size, "Container": "", "ContainerConfig": None}
    return fields
