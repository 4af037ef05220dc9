import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from sandbox.images.credentials import Credentials
from sandbox.images.errors import ImageError, InvalidReference, RegistryError, RegistryUnavailable
from sandbox.images.reference import parse
from sandbox.images.registry import open_repository
from sandbox.images.search import SearchResult, search
from sandbox.images.transport import RegistryConfig, explain
from tests.sandbox.images.making import config, digest, files, packed
from tests.sandbox.images.peer import INDEX, MANIFEST, Peer, serve

ONE = files({"a": b"1"})
FOUND: dict[str, Any] = {
    "star_count": 3,
    "is_official": True,
    "name": "a/x",
    "is_automated": False,
    "description": "an x",
}
QUICK = RegistryConfig(attempts=1, connect=5, read=5)


@asynccontextmanager
async def index(*answers: web.Response) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """A host that gives these answers to searches."""
    asked: list[web.Request] = []
    waiting = list(answers)

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        return waiting.pop(0)

    app = web.Application()
    app.router.add_get("/v1/search", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def failing(term: str, kind: type[ImageError]) -> str:
    with pytest.raises(ImageError) as caught:
        await search(term, 25, config=QUICK)
    assert type(caught.value) is kind
    return caught.value.message


async def test_search_of_a_registry() -> None:
    answer = {"num_results": 2, "query": "a b", "results": [FOUND, {"name": "y", "pulls": 4}]}
    async with index(web.json_response(answer), web.json_response({"results": None})) as (host, asked):
        found = await search(f"{host}/a b&c", 7, credentials=Credentials("me", "secret"), config=QUICK)
        assert found == [SearchResult(**FOUND), SearchResult(name="y")]
        assert dict(asked[0].query) == {"q": "a b&c", "n": "7"}
        assert asked[0].headers["Authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()
        assert await search(f"{host}/", 25, config=QUICK) == []
        assert "Authorization" not in asked[1].headers


async def test_search_that_fails() -> None:
    async with index(web.Response(status=404), web.Response(text="{")) as (host, _):
        assert await failing(f"{host}/x", RegistryError) == "Unexpected status code 404"
        assert (await failing(f"{host}/x", RegistryError)).startswith(
            f"http://{host}/v1/search?q=x&n=25: the answer is"
        )
    refused = f"dial tcp {host}: connect: connection refused"
    assert await failing(f"{host}/x", RegistryUnavailable) == (
        f'invalid registry endpoint "http://{host}/v1/". '
        f'HTTPS attempt: Get "https://{host}/v1/search?q=x&n=25": {refused}. '
        f'HTTP attempt: Get "http://{host}/v1/search?q=x&n=25": {refused}'
    )
    expected = 'Invalid repository name (ex: "registry.domain.tld/myrepos")'
    assert await failing("http://a/b", InvalidReference) == expected


async def test_a_stranger_that_accepts_and_says_nothing() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(RegistryUnavailable):
            await search(f"{host}/x", 25, config=RegistryConfig(connect=0.2, read=0.2))


async def test_what_a_reference_is() -> None:
    async with serve(Peer()) as peer:
        raw = peer.push("team/app", "1", config([ONE], variant="v3"), [packed(ONE)])
        entries = [
            {"digest": digest(raw), "size": len(raw), "mediaType": MANIFEST, "platform": platform}
            for platform in (
                {"os": "linux", "architecture": "arm64", "variant": "v8", "os.version": "", "other": 1},
                {"os": "windows", "architecture": "amd64", "os.version": "10", "os.features": ["win32k"]},
            )
        ]
        entries.append({"digest": digest(raw), "size": len(raw), "mediaType": MANIFEST})
        listing = msgspec.json.encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
        peer.put("team/app", "all", listing, INDEX)
        one, every = [await described(peer, tag) for tag in ("1", "all")]
        assert one == (MANIFEST, digest(raw), len(raw), [{"architecture": "amd64", "os": "linux", "variant": "v3"}])
        assert every == (
            INDEX,
            digest(listing),
            len(listing),
            [
                {"architecture": "arm64", "os": "linux", "variant": "v8"},
                {"architecture": "amd64", "os": "windows", "os.version": "10", "os.features": ["win32k"]},
            ],
        )
        with pytest.raises(ImageError, match=r"^manifest unknown: manifest unknown$"):
            await described(peer, "2")


async def described(peer: Peer, tag: str) -> tuple[str, str, int, list[dict[str, object]]]:
    reference = parse(f"{peer.host}/team/app:{tag}")
    async with open_repository(reference, config=QUICK, explain=lambda problem, _: explain(problem)) as repository:
        found = await repository.describe()
    return found.media_type, found.digest, found.size, list(found.platforms)
