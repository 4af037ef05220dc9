"""Containers and execs of the engine."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import ClientResponse

from backends.api import types as t
from backends.api.engine import Download, Stream
from backends.docker.attaching import attach
from backends.docker.daemon import Daemon

STAT = "X-Docker-Container-Path-Stat"


class Containers:
    """The operations on containers and execs, each one request of Docker's API."""

    daemon: Daemon

    async def create_container(self, request: t.CreateContainer) -> t.Created:
        body = {**(request.config or {}), "HostConfig": request.host_config}
        body["NetworkingConfig"] = request.networking_config
        query = {"name": request.name or None, "platform": request.platform or None}
        return await self.daemon.value(t.Created, "POST", "/containers/create", query, body)

    async def list_containers(self, all: bool, limit: int, size: bool, filters: t.Filters) -> list[t.ContainerSummary]:
        query = {"all": all, "limit": limit if limit > 0 else None, "size": size, "filters": filters}
        return await self.daemon.value(list[t.ContainerSummary], "GET", "/containers/json", query)

    async def inspect_container(self, ref: str, size: bool = False) -> t.Container:
        return await self.daemon.value(t.Container, "GET", _path(ref, "json"), {"size": size})

    async def start_container(self, ref: str) -> None:
        await self.daemon.json("POST", _path(ref, "start"))

    async def stop_container(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        await self.daemon.json("POST", _path(ref, "stop"), {"t": timeout, "signal": signal or None})

    async def restart_container(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        await self.daemon.json("POST", _path(ref, "restart"), {"t": timeout, "signal": signal or None})

    async def kill_container(self, ref: str, signal: str = "") -> None:
        await self.daemon.json("POST", _path(ref, "kill"), {"signal": signal or None})

    async def pause_container(self, ref: str) -> None:
        await self.daemon.json("POST", _path(ref, "pause"))

    async def unpause_container(self, ref: str) -> None:
        await self.daemon.json("POST", _path(ref, "unpause"))

    async def rename_container(self, ref: str, name: str) -> None:
        await self.daemon.json("POST", _path(ref, "rename"), {"name": name})

    async def update_container(self, ref: str, changes: t.Json) -> list[str]:
        answer = await self.daemon.json("POST", _path(ref, "update"), body=changes)
        return list(answer.get("Warnings") or [])

    async def remove_container(self, ref: str, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        await self.daemon.json("DELETE", _path(ref), {"force": force, "v": volumes, "link": link})

    async def prune_containers(self, filters: t.Filters) -> t.Pruned:
        answer = await self.daemon.json("POST", "/containers/prune", {"filters": filters})
        return t.Pruned(deleted=answer.get("ContainersDeleted") or [], space_reclaimed=answer.get("SpaceReclaimed", 0))

    async def wait_container(self, ref: str, condition: str) -> AsyncIterator[t.ExitResult]:
        return await self.daemon.items(_exit_result, "POST", _path(ref, "wait"), {"condition": condition})

    async def attach_container(self, ref: str, options: t.AttachOptions) -> Stream:
        tty = bool((await self.inspect_container(ref)).config.get("Tty"))
        flags = ("stdin", "stdout", "stderr", "stream", "logs")
        query = {name: getattr(options, name) for name in flags} | {"detachKeys": options.detach_keys or None}
        return await attach(self.daemon.place, _path(ref, "attach"), query, None, tty)

    async def resize_container(self, ref: str, height: int, width: int) -> None:
        await self.daemon.json("POST", _path(ref, "resize"), {"h": height, "w": width})

    async def container_logs(self, ref: str, options: t.LogOptions) -> Download:
        tty = bool((await self.inspect_container(ref)).config.get("Tty"))
        flags = ("stdout", "stderr", "follow", "timestamps", "details")
        query: dict[str, Any] = {name: getattr(options, name) for name in flags}
        query |= {"tail": options.tail if options.tail >= 0 else "all"}
        query |= {name: _moment(getattr(options, name)) for name in ("since", "until")}
        return await self.daemon.download(lambda _: tty, _path(ref, "logs"), query)

    async def top_container(self, ref: str, arguments: str) -> t.Top:
        return await self.daemon.value(t.Top, "GET", _path(ref, "top"), {"ps_args": arguments})

    async def container_stats(self, ref: str, stream: bool, one_shot: bool) -> AsyncIterator[t.Json]:
        query = {"stream": stream, "one-shot": one_shot}
        return await self.daemon.items(lambda value: value, "GET", _path(ref, "stats"), query)

    async def container_changes(self, ref: str) -> list[t.Change]:
        return await self.daemon.value(list[t.Change], "GET", _path(ref, "changes"))

    async def export_container(self, ref: str) -> Download:
        return await self.daemon.download(lambda _: None, _path(ref, "export"), {})

    async def stat_path(self, ref: str, path: str) -> t.PathStat:
        answer = await self.daemon.open("HEAD", _path(ref, "archive"), {"path": path})
        answer.close()
        return _path_stat(answer)

    async def get_archive(self, ref: str, path: str) -> Download:
        return await self.daemon.download(_path_stat, _path(ref, "archive"), {"path": path})

    async def put_archive(
        self, ref: str, path: str, body: AsyncIterator[bytes], no_overwrite: bool = False, copy_uid_gid: bool = False
    ) -> None:
        query = {"path": path, "noOverwriteDirNonDir": no_overwrite, "copyUIDGID": copy_uid_gid}
        await self.daemon.json("PUT", _path(ref, "archive"), query, upload=body)

    # -- exec

    async def create_exec(self, ref: str, request: t.CreateExec) -> str:
        body = {key: value for key, value in msgspec.to_builtins(request).items() if value is not None}
        return str((await self.daemon.json("POST", _path(ref, "exec"), body=body))["Id"])

    async def start_exec(self, exec_id: str, request: t.StartExec) -> Stream:
        return await attach(self.daemon.place, _exec(exec_id, "start"), {}, _start(request), request.tty)

    async def start_exec_detached(self, exec_id: str, request: t.StartExec) -> None:
        await self.daemon.json("POST", _exec(exec_id, "start"), body=_start(request) | {"Detach": True})

    async def inspect_exec(self, exec_id: str) -> t.Exec:
        return await self.daemon.value(t.Exec, "GET", _exec(exec_id, "json"))

    async def resize_exec(self, exec_id: str, height: int, width: int) -> None:
        await self.daemon.json("POST", _exec(exec_id, "resize"), {"h": height, "w": width})


def _path(ref: str, verb: str = "") -> str:
    path = f"/containers/{quote(ref.removeprefix('/'), safe='')}"
    return f"{path}/{verb}" if verb else path


def _exec(exec_id: str, verb: str) -> str:
    return f"/exec/{quote(exec_id, safe='')}/{verb}"


def _start(request: t.StartExec) -> t.Json:
    body: t.Json = {"Detach": request.detach, "Tty": request.tty}
    return body | ({"ConsoleSize": request.console_size} if request.console_size else {})


def _moment(nanoseconds: int) -> str | None:
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}" if nanoseconds else None


def _exit_result(value: t.Json) -> t.ExitResult:
    return t.ExitResult(status_code=value["StatusCode"], error=(value.get("Error") or {}).get("Message", ""))


def _path_stat(answer: ClientResponse) -> t.PathStat:
    return msgspec.json.decode(base64.b64decode(answer.headers[STAT]), type=t.PathStat)
