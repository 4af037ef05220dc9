"""Settings: precedence and the errors a user can make."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config import Config, ConfigError, load
from appliance.topology import processes


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('run_dir = "/file"\ndata_dir = "/file-data"\nstart_timeout = 1\nlisten = ["tcp://127.0.0.1:1"]\n')
    environment = {"SOCKERLESS_RUN_DIR": "/environment", "SOCKERLESS_DATA_DIR": "/environment-data"}
    config = load({"run_dir": "/flag", "data_dir": None}, environment, file)
    assert (config.run_dir, config.data_dir) == (Path("/flag"), Path("/environment-data"))
    assert (config.start_timeout, config.listen) == (1.0, ("tcp://127.0.0.1:1",))


def test_lists_in_the_environment_are_separated_by_commas() -> None:
    config = load({}, {"SOCKERLESS_LISTEN": "unix:///a.sock,tcp://[::1]:2375"})
    assert config.addresses == ("unix:///a.sock", "tcp://[::1]:2375")


def test_without_listen_the_socket_lies_in_the_run_directory() -> None:
    assert Config(run_dir=Path("/r")).addresses == ("unix:///r/docker.sock",)


def test_downloads_of_builds_are_switched_on_everywhere_by_the_same_name(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("build_add_urls = true\n")
    assert load({}, {}, file).build_add_urls
    assert not load({}, {"SOCKERLESS_BUILD_ADD_URLS": "0"}, file).build_add_urls
    assert load({"build_add_urls": True}, {"SOCKERLESS_BUILD_ADD_URLS": "false"}).build_add_urls
    on, off = Config(build_add_urls=True), Config()
    assert "--build-add-urls" in processes(on)[0].command
    assert "--build-add-urls" not in processes(off)[0].command


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"backend": "nosuch"}, "backend: unknown backend 'nosuch'; known are: memory, docker"),
        ({"backend": ["memory", "memory"]}, "backend: name each backend once, at least one"),
        ({"docker_engine": "docker.sock"}, "docker_engine: 'docker.sock' is neither unix:///path nor tcp://host:port"),
        (
            {"backend": "docker", "run_dir": "/r", "docker_engine": "unix:///r/docker.sock"},
            "docker_engine: unix:///r/docker.sock is where this appliance itself listens",
        ),
        ({"listen": ["127.0.0.1:2375"]}, "listen: '127.0.0.1:2375' is neither unix:///path nor tcp://host:port"),
        ({"listen": ["tcp://:x"]}, "listen: 'tcp://:x' is neither unix:///path nor tcp://host:port"),
        ({"build_add_urls": "maybe"}, "build_add_urls: 'maybe' cannot be used: it is true or false"),
        ({"start_timeout": "soon"}, "start_timeout: 'soon' cannot be used: could not convert string to float: 'soon'"),
        (
            {"run_dir": "/" + "d" * 95},
            f"the socket path /{'d' * 95}/docker.sock is 108 bytes long, a Unix socket's may be 107: "
            "choose a shorter run_dir (--run-dir)",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(flags: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags, {})
    assert str(caught.value) == message


def test_an_unknown_setting_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("socket = 1\n")
    with pytest.raises(ConfigError, match="has unknown settings: socket; known are: run_dir, data_dir"):
        load({}, {}, file)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("run_dir = \n")
    with pytest.raises(ConfigError, match=r"config\.toml is not valid TOML"):
        load({}, {}, file)
