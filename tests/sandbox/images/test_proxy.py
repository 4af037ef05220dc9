"""Proxies of the environment: which requests go by them, and that they do."""

import asyncio
import base64
from pathlib import Path

import pytest
from yarl import URL

from sandbox.images.errors import RegistryError, RegistryUnavailable
from sandbox.images.proxy import proxy_for, settings, variables
from sandbox.images.pull import pull
from sandbox.images.reference import parse
from sandbox.images.store import Store
from sandbox.images.transport import RegistryConfig
from tests.sandbox.images.making import config, files, packed
from tests.sandbox.images.peer import Peer, serve

SECRET = "Basic " + base64.b64encode(b"ann:secret").decode()
LAYER = files({"a": b"1"})
FAR = "registry.test"
QUICK = RegistryConfig(backoff=0.001, read=5, attempts=1, insecure=frozenset({FAR}))
BOTH = {"HTTP_PROXY": "http://h:1", "HTTPS_PROXY": "https://s:2"}


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("http://example.com/", BOTH, "http://h:1"),
        ("https://example.com/", BOTH, "https://s:2"),
        ("https://example.com/", {"https_proxy": "s:2"}, "http://s:2"),
        ("https://example.com/", {"HTTPS_PROXY": "http://a", "https_proxy": "http://b"}, "http://a"),
        ("https://example.com/", {"HTTP_PROXY": "http://h:1"}, None),
        ("http://localhost:5000/", BOTH, None),
        ("http://127.3.2.1:5000/", BOTH, None),
        ("http://[::1]:5000/", BOTH, None),
        ("http://example.com/", BOTH | {"NO_PROXY": "*"}, None),
        ("http://example.com/", BOTH | {"NO_PROXY": "a, Example.com"}, None),
        ("http://x.example.com/", BOTH | {"no_proxy": "example.com"}, None),
        ("http://x.example.com/", BOTH | {"NO_PROXY": "*.example.com"}, None),
        ("http://example.com/", BOTH | {"NO_PROXY": ".example.com"}, "http://h:1"),
        ("http://badexample.com/", BOTH | {"NO_PROXY": "example.com"}, "http://h:1"),
        ("http://example.com:81/", BOTH | {"NO_PROXY": "example.com:80"}, "http://h:1"),
        ("http://example.com/", BOTH | {"NO_PROXY": "example.com:80"}, None),
        ("http://10.1.2.3/", BOTH | {"NO_PROXY": "10.0.0.0/8"}, None),
        ("http://10.1.2.3/", BOTH | {"NO_PROXY": "10.1.2.3"}, None),
        ("http://11.1.2.3/", BOTH | {"NO_PROXY": "10.0.0.0/8,nonsense/x,"}, "http://h:1"),
        ("http://[fd00::1]:80/", BOTH | {"NO_PROXY": "[fd00::1]:80"}, None),
        ("http://[fd00::1]:80/", BOTH | {"NO_PROXY": "fd00::1"}, None),
    ],
)
def test_which_proxy(url: str, environ: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(URL(url), environ) == (URL(proxy) if proxy else None)


def test_what_info_shows() -> None:
    secret = {"HTTP_PROXY": "http://ann:secret@h:1/", "https_proxy": "s:2", "NO_PROXY": "x"}
    assert settings(secret) == ("http://xxxxx:xxxxx@h:1/", "s:2", "x")
    assert settings({}) == ("", "", "")


def test_what_git_is_told() -> None:
    assert variables({"PATH": "/bin"}) == {}
    assert variables({"HTTP_PROXY": "http://h:1", "NO_PROXY": "x"}) == {
        "http_proxy": "http://h:1",
        "no_proxy": "x,localhost,127.0.0.1,::1",
    }


async def test_a_pull_by_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    store = Store(tmp_path / "store")
    async with serve(Peer()) as peer:
        peer.push("team/app", "1", config([LAYER]), [packed(LAYER)])
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://ann:secret@{peer.host}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        told = [event async for event in pull(store, parse(f"{FAR}/team/app:1"), config=QUICK)]
        assert told[-1].image == store.resolve(f"{FAR}/team/app:1").id
        assert peer.proxied == {(f"http://{FAR}", SECRET)}
        peer.proxied.clear()
        assert [event async for event in pull(store, parse(f"{peer.host}/team/app:1"), config=QUICK)]
        assert peer.proxied == set()


async def test_tls_goes_through_a_tunnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        monkeypatch.setenv("HTTPS_PROXY", f"http://ann:secret@127.0.0.1:{port}")
        with pytest.raises(RegistryError) as caught:
            await anext(pull(Store(tmp_path / "store"), parse("other.test/app:1"), config=QUICK))
    assert caught.value.message == 'Get "https://other.test/v2/": Proxy Authentication Required'
    assert heads[0].startswith("CONNECT other.test:443 HTTP/1.1\r\n")
    assert f"Proxy-Authorization: {SECRET}\r\n" in heads[0]


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("http://127.0.0.1:1", "proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused"),
        ("socks5://127.0.0.1:1", "proxyconnect tcp: socks5 proxies are not supported"),
    ],
)
async def test_a_proxy_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, message: str) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(RegistryUnavailable) as caught:
        await anext(pull(Store(tmp_path / "store"), parse("other.test/app:1"), config=QUICK))
    assert caught.value.message == f'Get "https://other.test/v2/": {message}'
