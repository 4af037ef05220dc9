"""What stands in a product while random requests come: a running container, one that is not, a network, a volume."""

from __future__ import annotations

from tests.faults.place import BASE, JSON, Place

CREATED = {"Image": BASE, "Cmd": ["sh", "-c", "trap exit TERM; sleep 100000 & wait"], "OpenStdin": True}


class Stage:
    """``running`` has to stay as it is; ``idle`` may be changed and removed, and is made again."""

    running, idle, network, volume = "running", "idle", "some-network", "some-volume"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.keep = place.census()
        self.exec_id = ""
        self.memory: dict[str, float] = {}

    def set(self) -> None:
        """Make everything, and remember how large the processes are then."""
        self.place.request("POST", "/volumes/create", {"Name": self.volume})
        self.place.request("POST", "/networks/create", {"Name": self.network})
        host = {"Binds": [f"{self.volume}:/data"], "NetworkMode": self.network}
        self.place.request("POST", f"/containers/create?name={self.running}", {**CREATED, "HostConfig": host})
        self.place.start(self.running)
        self.renew()
        self.memory = {name: self.place.rss_mb(name) for name in ("frontend", "memory")}

    def renew(self) -> None:
        """Make again what a request may have taken away."""
        self.place.request("POST", f"/containers/create?name={self.idle}", CREATED)
        exec_body = {"Cmd": ["true"], "AttachStdout": True}
        answer = self.place.request("POST", f"/containers/{self.running}/exec", exec_body)
        assert answer.status == 201, (answer, self.place.state(self.running))
        self.exec_id = answer.json["Id"]

    def strike(self) -> None:
        """Remove what was not there before."""
        census = self.place.census()
        for kind in ("containers", "volumes", "networks"):
            for name in set(census[kind]) - set(self.keep[kind]):
                answer = self.place.request("DELETE", f"/{kind}/{name}?force=1&v=1", headers=JSON)
                assert answer.status in (204, 404), answer  # an anonymous volume goes with its container
        for name in set(census["images"]) - set(self.keep["images"]):
            self.place.request("DELETE", f"/images/{name}?force=1")
