"""Virtual networks of the sandbox: a switch inside the worker, network namespaces, sockets, published ports, names.

Layers, lowest first:
- `base` (what a socket is), `options`, `ports`, `loop` (the thread of the real sockets), `sockaddr`.
- `tcp`, `datagram`, `udp`, `icmp`, `nat` (the way out), `unix`, `unixdatagram`, `rights`; `host` (real sockets).
- `switch` (networks, endpoints), `stack`, `isolated` (routes), `publish`, `hostaddress` (what a gateway leads to).
- `dns_message`, `forward`, `names` (the name server), `etc` (resolv.conf, hosts).
- `file`, `messages`: sockets as open files of a program, for `kernel.sys_socket`. Only these know the kernel.

No call of a socket waits, no lock is held while waiting, and nothing of a connection between containers is visible on
the host.
"""

from sandbox.wasm.net.etc import hosts, resolv_conf
from sandbox.wasm.net.stack import Publication, Stack
from sandbox.wasm.net.switch import Endpoint, Network, Switch

__all__ = ["Endpoint", "Network", "Publication", "Stack", "Switch", "hosts", "resolv_conf"]
