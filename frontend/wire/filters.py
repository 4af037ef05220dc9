"""The ``filters`` query parameter: JSON in two encodings.

Docker's Go clients send ``{"label": {"a=b": true}}``, docker-py and libpod's clients ``{"label": ["a=b"]}``. Which keys
an endpoint takes is in ``ACCEPTED``; moby: daemon/list.go, daemon/images,
daemon/network/filter.go, daemon/volume/service.
"""

from __future__ import annotations

import time

import msgspec

from frontend.wire.errors import BadRequest
from frontend.wire.query import integer
from frontend.wire.timestamps import point_in_time

Filters = dict[str, list[str]]

_PRUNE = {"label", "label!", "until"}
ACCEPTED: dict[str, set[str] | None] = {
    "containers": {
        *("ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label"),
        *("name", "network", "publish", "since", "status", "volume"),
    },
    "containers/prune": _PRUNE,
    "images": {"before", "dangling", "label", "reference", "since", "until"},
    "images/prune": {*_PRUNE, "dangling"},
    "images/search": {"is-automated", "is-official", "stars"},
    "networks": {"dangling", "driver", "id", "label", "name", "scope", "type"},
    "networks/prune": _PRUNE,
    "volumes": {"dangling", "driver", "label", "name"},
    "volumes/prune": {"all", "label", "label!"},
    "build/prune": None,
    "plugins": {"capability", "enabled"},
    "events": None,  # the daemon takes any key there
}
_STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
_HEALTH = ("none", "starting", "healthy", "unhealthy")
_TRUE, _FALSE = {"1", "true", "True", "TRUE", "t", "T"}, {"0", "false", "False", "FALSE", "f", "F"}
_decode = msgspec.json.Decoder(dict[str, dict[str, bool] | list[str]]).decode


def parse_filters(text: str | None, endpoint: str) -> Filters:
    """Return key → values. Booleans become "true" or "false", ``until`` of a prune Unix seconds. Raises BadRequest."""
    if not text:
        return {}
    try:
        decoded = _decode(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest("invalid filter") from error
    filters = {key: list(values) for key, values in decoded.items()}
    accepted = ACCEPTED[endpoint]
    if accepted is not None:
        _check(filters, accepted)
        _normalise(filters)
    return filters


def _check(filters: Filters, accepted: set[str]) -> None:
    for key in filters:
        if key not in accepted:
            raise BadRequest(f"invalid filter '{key}'")
    for state in filters.get("status", []):
        if state not in _STATES:
            expected = ", ".join(_STATES)
            raise BadRequest(
                f"invalid filter 'status={state}': invalid value for state ({state}): must be one of {expected}"
            )
    for health in filters.get("health", []):
        if health not in _HEALTH:
            expected = ", ".join(_HEALTH)
            raise BadRequest(
                f"invalid filter 'health={health}': invalid value for health ({health}): must be one of {expected}"
            )
    for code in filters.get("exited", []):
        integer(code)


def _normalise(filters: Filters) -> None:
    for key in ("dangling", "is-task", "all", "is-automated", "is-official"):
        if key in filters:
            filters[key] = [_boolean(key, filters[key])]
    if values := filters.get("until"):
        if len(values) > 1:
            raise BadRequest("more than one until filter specified")
        moment = max(point_in_time(values[0], time.time_ns()), 0)
        filters["until"] = [f"{moment // 10**9}.{moment % 10**9:09d}"]


def _boolean(key: str, values: list[str]) -> str:
    if len(values) == 1 and values[0] in _TRUE | _FALSE:
        return "true" if values[0] in _TRUE else "false"
    raise BadRequest(f"invalid filter '{key}={values[0] if values else ''}'")
