"""Requests that are no HTTP, no JSON, or ask for what cannot be: a clear error each, and all is as before."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.faults.place import BASE, Place, read_all

HOST = b"Host: docker\r\n"
CLOSE = b"Connection: close\r\n\r\n"
CREATE = b"POST /containers/create HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
ATTACH = b"POST /containers/bystander/attach HTTP/1.1\r\n" + HOST
BODIES = (
    "/containers/create", "/containers/bystander/exec", "/exec/none/start", "/networks/create", "/volumes/create",
    "/networks/bridge/connect", "/networks/bridge/disconnect", "/containers/bystander/update", "/auth",
)  # fmt: skip


@pytest.mark.parametrize("path", BODIES)
def test_malformed_json(site: Place, path: str) -> None:
    for body, message in (
        (b'{"Image":', "invalid JSON: unexpected EOF"),
        (b'{"Image": "\xff\xfe', "invalid JSON: unexpected EOF"),
        (b"{} {}", "unexpected content after JSON"),
        (b"[1]", "invalid JSON: json: cannot unmarshal value into Go value of type object"),
        (b"[" * 100_000, "invalid JSON: exceeded max depth"),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "invalid JSON: exceeded max depth"),
        (b'{"a":"' + b"x" * (17 << 20) + b'"}', "request body is too large"),
        (b"\0", "invalid JSON: JSON is malformed: invalid character (byte 0)"),
    ):
        answer = site.request("POST", path, body)
        assert (answer.status, answer.message) == (400, message), body[:20]


@pytest.mark.parametrize("path", BODIES)
def test_wrong_content_types(site: Place, path: str) -> None:
    for kind, message in (
        ("text/plain", "unsupported Content-Type header (text/plain): must be 'application/json'"),
        ("application/x-tar", "unsupported Content-Type header (application/x-tar): must be 'application/json'"),
        ("", "malformed Content-Type header (): mime: no media type"),
    ):
        answer = site.request("POST", path, b"{}", {"Content-Type": kind})
        assert (answer.status, answer.message) == (400, message)


def test_bytes_that_are_no_utf8_are_replaced_as_by_go(site: Place) -> None:
    answer = site.request("POST", "/containers/create", b'{"Image": "\xff"}')
    assert (answer.status, answer.message) == (400, "invalid reference format")


@pytest.mark.parametrize(
    ("body", "field", "kind"),
    [
        ({"Image": 1}, "number into Go struct field CreateRequest.Image", "string"),
        ({"Cmd": {}}, "object into Go struct field CreateRequest.Cmd", "[]"),
        ({"Env": "A=B"}, "string into Go struct field CreateRequest.Env", "[]"),
        ({"HostConfig": []}, "array into Go struct field CreateRequest.HostConfig", "HostConfig"),
        ({"HostConfig": {"Memory": "1g"}}, "string into Go struct field CreateRequest.HostConfig.Memory", "int64"),
        ({"HostConfig": {"Memory": 2**63}}, "number into Go struct field CreateRequest.HostConfig.Memory", "int64"),
        ({"HostConfig": {"Privileged": 1}}, "number into Go struct field CreateRequest.HostConfig.Privileged", "bool"),
    ],
)
def test_fields_of_the_wrong_type(site: Place, body: dict[str, Any], field: str, kind: str) -> None:
    answer = site.request("POST", "/containers/create", body)
    assert (answer.status, answer.message) == (400, f"invalid JSON: json: cannot unmarshal {field} of type {kind}")


@pytest.mark.parametrize(
    "data",
    [
        b"\0\1\2\3\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01",
        b"GET /" + b"a" * (1 << 17) + b" HTTP/1.1\r\n" + HOST + CLOSE,
        b"BREW /_ping HTTP/1.1\r\n" + HOST + CLOSE,
        CREATE + b"Content-Length: abc\r\n\r\n",
        CREATE + b"Content-Length: -1\r\n\r\n",
        CREATE + b"Content-Length: 99999999999999999999999999\r\n\r\n",
        CREATE + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CREATE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        ATTACH + b"Content-Length: abc\r\n\r\n",
        ATTACH + b"Content-Length: 99999999999999999999999999\r\n\r\n",
        ATTACH + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    ],
    ids=lambda data: repr(data[:30]) + repr(data[-40:]),
)
def test_what_is_no_http(site: Place, data: bytes) -> None:
    for half_close in (False, True):
        head, _, body = site.sent(data, half_close=half_close).partition(b"\r\n\r\n")
        assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 400 Bad Request", b"Invalid HTTP request received.")


@pytest.mark.parametrize("method", [b"GET /_ping", b"POST /containers/create", b"POST /containers/bystander/attach"])
def test_a_head_without_end_is_refused(site: Place, method: bytes) -> None:
    wanted = b"HTTP/1.1 431 Request Header Fields Too Large"
    start = method + b" HTTP/1.1\r\n" + HOST
    for filler in (b"X: " + b"a" * (2 << 20), b"X: y\r\n" * (400 << 10)):
        with site.connect() as connection:
            with pytest.raises(ConnectionError):  # it does not take all of this
                for _ in range(10):
                    connection.sendall(start + filler)
            assert read_all(connection).split(b"\r\n")[0] == wanted


@pytest.mark.parametrize(
    "data",
    [
        b"POST /containers/create HTTP/1.1\r\nHo",
        CREATE + b"Content-Length: 100\r\n\r\n" + b'{"Image":',
        CREATE + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"Ima',
        b"POST /images/load HTTP/1.1\r\n" + HOST + b"Content-Length: 10000\r\n\r\n" + b"\0" * 600,
        b"PUT /containers/bystander/archive?path=/ HTTP/1.1\r\n" + HOST + b"Content-Length: 9999\r\n\r\n" + b"\0" * 512,
        ATTACH + b"Content-Length: 100\r\n\r\nabc",
        b"POST /exec/none/start HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\n{",
    ],
    ids=lambda data: repr(data[:40]),
)
def test_a_request_that_breaks_off_gets_no_answer(site: Place, data: bytes) -> None:
    for _ in range(20):
        assert site.sent(data, half_close=True) == b""
        with site.connect() as connection:
            connection.sendall(data)


@pytest.mark.parametrize("name", ["%zz", "%ff%fe", "%00", "%F0%9F%A6%80", "..%2f..%2fetc", "a" * 5000])
def test_odd_names_in_paths_are_unknown_names(site: Place, name: str) -> None:
    with site.connect() as connection:
        connection.sendall(b"GET /containers/%s/json HTTP/1.1\r\n" % name.encode() + HOST + CLOSE)
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"HTTP/1.1 404 Not Found"
    assert json.loads(body)["message"].startswith("No such container: ")


@pytest.mark.parametrize(
    ("path", "filters", "message"),
    [
        ("/containers/json", "zz", "invalid filter"),
        ("/containers/json", '{"a":1}', "invalid filter"),
        ("/containers/json", '{"nope":["x"]}', "invalid filter 'nope'"),
        (
            "/containers/json", '{"status":["zz"]}',
            "invalid filter 'status=zz': invalid value for state (zz): must be one of created, running, paused, "
            "restarting, removing, exited, dead",
        ),
        (
            "/containers/json", '{"health":["zz"]}',
            "invalid filter 'health=zz': invalid value for health (zz): must be one of none, starting, healthy, "
            "unhealthy",
        ),
        ("/containers/json", '{"exited":["zz"]}', 'strconv.Atoi: parsing "zz": invalid syntax'),
        ("/images/json", '{"zz":["1"]}', "invalid filter 'zz'"),
        ("/images/json", '{"dangling":["zz"]}', "invalid filter 'dangling=zz'"),
        ("/networks", '{"zz":["1"]}', "invalid filter 'zz'"),
        ("/networks", '{"type":["zz"]}', "invalid filter: 'type'='zz'"),
        ("/volumes", '{"zz":["1"]}', "invalid filter 'zz'"),
    ],
)  # fmt: skip
def test_unknown_filters(site: Place, path: str, filters: str, message: str) -> None:
    answer = site.request("GET", f"{path}?until=1&filters={quote(filters)}")
    assert (answer.status, answer.message) == (400, message)


BAD_VOLUME = "invalid volume specification: "
BAD_MOUNT = "invalid mount config for type "
NO_HOST_FOLDER = (
    'includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. '
    "If you intended to pass a host directory, use absolute path"
)
NAMES_ALLOWED = "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"


@pytest.mark.parametrize("name", ["-bad", "a/b", "a b", "\0", "x", ".", "ä", "../../etc/passwd"])
def test_bad_container_names(site: Place, name: str) -> None:
    wanted = f"Invalid container name ({name}), {NAMES_ALLOWED}"
    answer = site.request("POST", f"/containers/create?name={quote(name, safe='')}", {"Image": BASE, "Cmd": ["true"]})
    assert (answer.status, answer.message) == (400, wanted)
    answer = site.request("POST", f"/containers/bystander/rename?name={quote(name, safe='')}")
    wanted = f"Error when allocating new name: Invalid container name (/{name}), {NAMES_ALLOWED}"
    assert (answer.status, answer.message) == (400, wanted)


def test_a_name_in_use(site: Place) -> None:
    taken = site.request("GET", "/containers/bystander/json").json["Id"]
    answer = site.request("POST", "/containers/create?name=bystander", {"Image": BASE, "Cmd": ["true"]})
    assert (answer.status, answer.message) == (
        409,
        f'Conflict. The container name "/bystander" is already in use by container "{taken}". '
        "You have to remove (or rename) that container to be able to reuse that name.",
    )


@pytest.mark.parametrize("name", ["../evil", "a/b", "a b", "-x", "\0\0"])
def test_bad_volume_names(site: Place, name: str) -> None:
    answer = site.request("POST", "/volumes/create", {"Name": name})
    assert (answer.status, answer.message) == (
        400,
        f'create {name}: "{name}" {NO_HOST_FOLDER}',
    )


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"Name": ""}, 400, "invalid name: name is empty"),
        ({"Name": "bridge"}, 403, "operation is not permitted on predefined bridge network "),
        ({"Name": "n", "Driver": "nope"}, 404, "could not find plugin nope in v1 plugin registry: plugin not found"),
        (
            {"Name": "n", "IPAM": {"Config": [{"Subnet": "1.2.3/99"}]}}, 400,
            "invalid network config:\ninvalid subnet 1.2.3/99: invalid CIDR block notation",
        ),
        (
            {"Name": "n", "IPAM": {"Config": [{"Subnet": "10.1.0.0/16", "Gateway": "1.1.1.1"}]}}, 400,
            "invalid network config:\ninvalid gateway 1.1.1.1: parent subnet 10.1.0.0/16 doesn't contain this address",
        ),
        (
            {"Name": "n", "IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}]}}, 403,
            "invalid pool request: Pool overlaps with other one on this address space",
        ),
    ],
)  # fmt: skip
def test_bad_networks(site: Place, body: dict[str, Any], status: int, message: str) -> None:
    answer = site.request("POST", "/networks/create", body)
    assert (answer.status, answer.message) == (status, message)


@pytest.mark.parametrize(
    ("image", "status", "message"),
    [
        ("nope", 404, "No such image: nope:latest"),
        ("nope:1@sha256:12", 400, "invalid reference format"),
        ("UPPER", 400, "invalid reference format: repository name (library/UPPER) must be lowercase"),
        ("../x", 400, "invalid reference format"),
        ("a:" + "b" * 129, 400, "invalid reference format"),
        ("sha256:" + "0" * 64, 404, "No such image: sha256:" + "0" * 64),
    ],
)
def test_images_that_are_not_there(site: Place, image: str, status: int, message: str) -> None:
    answer = site.request("POST", "/containers/create", {"Image": image, "Cmd": ["true"]})
    assert (answer.status, answer.message) == (status, message)


@pytest.mark.parametrize(
    ("host", "status", "message"),
    [
        (
            {"Binds": ["name:x"]}, 500,
            f"{BAD_VOLUME}'name:x': {BAD_MOUNT}\"volume\": invalid mount path: 'x' mount path must be absolute",
        ),
        ({"Binds": ["a:/b:zz"]}, 500, f"{BAD_VOLUME}'a:/b:zz': invalid mode: zz"),
        ({"Binds": [":"]}, 400, f"{BAD_VOLUME}':'"),
        ({"Binds": ["..:/b"]}, 400, f'create ..: ".." {NO_HOST_FOLDER}'),
        (
            {"Binds": ["/a:/"]}, 500,
            f"{BAD_VOLUME}'/a:/': {BAD_MOUNT}\"bind\": invalid specification: destination can't be '/'",
        ),
        ({"Binds": ["aa:/x", "bb:/x"]}, 400, "Duplicate mount point: /x"),
        ({"Mounts": [{"Type": "odd", "Target": "/x"}]}, 400, f'{BAD_MOUNT}"odd": mount type unknown'),
        (
            {"Mounts": [{"Type": "bind", "Source": "/no/such", "Target": "/x"}]}, 400,
            f'{BAD_MOUNT}"bind": bind source path does not exist: /no/such',
        ),
        (
            {"Mounts": [{"Type": "bind", "Target": "/x"}]}, 400,
            f'{BAD_MOUNT}"bind": field Source must not be empty',
        ),
        (
            {"Mounts": [{"Type": "volume", "Source": "../v", "Target": "/x"}]}, 400,
            f'create ../v: "../v" {NO_HOST_FOLDER}',
        ),
        (
            {"Mounts": [{"Type": "tmpfs", "Source": "v", "Target": "/x"}]}, 400,
            f'{BAD_MOUNT}"tmpfs": field Source must not be specified',
        ),
        ({"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}}, 400, 'invalid port specification: "99999"'),
        ({"PortBindings": {"80/odd": []}}, 400, 'invalid port specification: "80/odd"'),
        ({"PortBindings": {"65536/tcp": []}}, 400, 'invalid port specification: "65536/tcp"'),
        ({"VolumesFrom": ["nobody"]}, 400, "No such container: nobody"),
        ({"Links": ["nobody:a"]}, 400, "could not get container for nobody: No such container: nobody"),
        ({"Memory": -1}, 400, "Minimum memory limit allowed is 6MB"),
        ({"Memory": 100}, 400, "Minimum memory limit allowed is 6MB"),
        ({"Runtime": "odd"}, 400, "unknown or invalid runtime name: odd"),
    ],
)  # fmt: skip
def test_impossible_containers(site: Place, host: dict[str, Any], status: int, message: str) -> None:
    answer = site.request("POST", "/containers/create", {"Image": BASE, "Cmd": ["true"], "HostConfig": host})
    assert (answer.status, answer.message) == (status, message)


@pytest.mark.parametrize(
    ("config", "status", "message"),
    [
        ({"HostConfig": {"NetworkMode": "nonet"}}, 404,
         "failed to set up container networking: network nonet not found"),
        ({"HostConfig": {"NetworkMode": "container:nobody"}}, 404, "No such container: nobody"),
        ({"User": "nobody:nope"}, 400, "unable to find group nope: no matching entries in group file"),
        ({"WorkingDir": "/etc/passwd"}, 400,
         'failed to create task for container: failed to create shim task: OCI runtime create failed: runc create '
         'failed: unable to start container process: chdir to cwd ("/etc/passwd") set in config.json failed: '
         'not a directory: unknown'),
    ],
)  # fmt: skip
def test_containers_that_cannot_start(site: Place, config: dict[str, Any], status: int, message: str) -> None:
    site.request("POST", "/containers/create?name=hopeless", {"Image": BASE, "Cmd": ["true"], **config})
    answer = site.request("POST", "/containers/hopeless/start")
    assert (answer.status, answer.message) == (status, message)
    state = site.state("hopeless")
    assert (state["Status"], state["Running"], state["Pid"]) == ("created", False, 0)
    site.remove("hopeless")


def test_a_host_address_that_is_none(site: Place) -> None:
    ports = {"80/tcp": [{"HostIp": "nope", "HostPort": "9"}]}
    body = {"Image": BASE, "Cmd": ["true"], "HostConfig": {"PortBindings": ports}}
    answer = site.request("POST", "/containers/create?name=deaf", body)
    assert (answer.status, answer.message) == (400, 'invalid JSON: ParseAddr("nope"): unable to parse IP')
