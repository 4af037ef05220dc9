"""A container as inspect shows it: record → wire type."""

from __future__ import annotations

import msgspec

from backends.api import types as t
from backends.core.clock import rfc3339
from backends.core.container import Container
from backends.core.lifecycle import Status
from backends.core.records import ContainerRecord, EndpointRecord, HealthRecord, MountRecord
from backends.core.validate import parse_port


def render(
    container: Container, driver: str, execs: list[str], sizes: tuple[int, int] | None, links: list[str] | None
) -> t.Container:
    """Return all that inspect says. Its files have no paths before its first start, failed or not."""
    record, directory = container.record, container.directory
    log = container.host.log_config
    begun = record.state.started_at != 0 or bool(record.state.error)
    return t.Container(
        id=record.id,
        name=f"/{record.name}",
        created=rfc3339(record.created),
        path=record.path,
        args=record.args,
        state=state(container),
        image=record.image,
        config=config(record),
        host_config={**record.host_config, "Links": links},
        network_settings=network_settings(container),
        mounts=[mount(entry) for entry in record.mounts if entry.listed],
        restart_count=record.restart_count,
        driver=driver,
        platform=record.platform,
        log_path=str(container.log_path) if begun and (log is None or log.type == "json-file") else "",
        hostname_path=str(directory / "hostname") if begun else "",
        hosts_path=str(directory / "hosts") if begun else "",
        resolv_conf_path=str(directory / "resolv.conf") if begun else "",
        exec_ids=execs or None,
        size_rw=sizes[0] if sizes else None,
        size_root_fs=sizes[1] if sizes else None,
    )


def config(record: ContainerRecord) -> t.Json:
    """Docker's Config. The MAC address in it is the one that was asked for on the main network."""
    mode = record.host_config["NetworkMode"]
    for name, place in record.endpoints.items():
        main = mode in (name, place.network_id) or len(record.endpoints) == 1
        if main and place.wanted_mac:
            return {**record.config, "MacAddress": place.wanted_mac}
    return record.config


def state(container: Container) -> t.State:
    """Docker's State."""
    now = container.record.state
    return t.State(
        status=str(now.status),
        running=container.running,
        paused=now.status is Status.PAUSED,
        restarting=now.status is Status.RESTARTING,
        oom_killed=now.oom_killed,
        dead=now.status is Status.DEAD,
        pid=now.pid,
        exit_code=now.exit_code,
        error=now.error,
        started_at=rfc3339(now.started_at),
        finished_at=rfc3339(now.finished_at),
        health=msgspec.UNSET if now.health is None else health(now.health),
    )


def health(record: HealthRecord) -> t.Health:
    """Docker's State.Health."""
    return t.Health(
        status=record.status,
        failing_streak=record.failing_streak,
        log=[
            t.HealthProbe(
                start=rfc3339(probe.start), end=rfc3339(probe.end), exit_code=probe.exit_code, output=probe.output
            )
            for probe in record.log
        ],
    )


def mount(record: MountRecord) -> t.Mount:
    """Docker's MountPoint."""
    volume = record.kind == "volume"
    return t.Mount(
        type=record.kind,
        name=record.volume if volume else msgspec.UNSET,
        source="" if record.kind == "tmpfs" else record.source,
        destination=record.destination,
        driver="local" if volume else msgspec.UNSET,
        mode=record.mode,
        rw=not record.read_only,
        propagation=record.propagation,
    )


def endpoint(record: EndpointRecord) -> t.Endpoint:
    """Docker's EndpointSettings."""
    return t.Endpoint(
        ipam_config=record.ipam_config,
        links=record.links,
        aliases=record.aliases,
        mac_address=record.mac or record.wanted_mac,
        driver_opts=record.driver_opts,
        gw_priority=record.gw_priority,
        network_id=record.network_id,
        endpoint_id=record.endpoint_id,
        gateway=record.gateway,
        ip_address=record.address,
        ip_prefix_len=record.prefix,
        dns_names=record.dns_names,
    )


def network_settings(container: Container) -> t.NetworkSettings:
    """Docker's NetworkSettings; ports only while it runs."""
    record = container.record
    ports: dict[str, list[t.PortBinding] | None] = {}
    if container.alive and not record.host_config["NetworkMode"].startswith(("host", "none", "container:")):
        for text in container.config.exposed_ports or ():
            number, protocol = parse_port(text)
            ports[f"{number}/{protocol}"] = None
        for port in record.ports:
            key = f"{port.port}/{port.protocol}"
            binding = t.PortBinding(host_ip=port.host_ip, host_port=str(port.host_port))
            ports[key] = [*(ports.get(key) or ()), binding]
    return t.NetworkSettings(
        networks={name: endpoint(value) for name, value in record.endpoints.items()},
        ports=ports,
        sandbox_id=record.id if container.alive else "",
    )
