"""The engine API over a Docker Engine."""

from __future__ import annotations

from backends.api.engine import Stream
from backends.docker.containers import Containers
from backends.docker.daemon import Daemon
from backends.docker.images import Images
from backends.docker.objects import Networks, System, Volumes
from backends.docker.place import Place


class DockerEngine(System, Containers, Images, Networks, Volumes):
    """Implements :class:`backends.api.engine.Engine` by asking the engine at ``place``.

    Nothing is kept here: what the engine says is what there is. A frontend hands whole requests over by ``relay``; the
    operations serve what concerns several workers at once.
    """

    def __init__(self, place: Place) -> None:
        self.daemon = Daemon(place)

    async def relay(self) -> Stream:
        return await self.daemon.place.connect()

    async def close(self) -> None:
        """Close the connections."""
        await self.daemon.close()
