"""The name server of an isolated stack, at 127.0.0.11: containers by name, the rest by the host's name servers.

As Docker's: names count on networks that resolve (all but the default bridge), without regard to case, also with the
network's name behind a dot. A container's name has A records only; asked for anything else the answer is empty, not
NXDOMAIN, which some C libraries would take for the A record too. Stacks on internal networks only are not led
outside.
"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.wasm.net import dns_message as dns
from sandbox.wasm.net import forward
from sandbox.wasm.net.dns_message import Code, Message, Type

if TYPE_CHECKING:
    from sandbox.wasm.net.isolated import IsolatedStack
    from sandbox.wasm.net.switch import Endpoint

TTL = 600
_MAX_STREAM = 65535
_IDLE = 10.0
Reply = Callable[[bytes], None]


class Resolver:
    """Answers for one stack. Thread-safe; what it does not know itself is answered later, from the switch's thread."""

    def __init__(self, stack: IsolatedStack) -> None:
        self._stack = stack

    def lookup(self, name: str) -> list[str]:
        """The addresses of a container's name, as this stack sees it."""
        wanted = name.rstrip(".").lower()
        ends = [end for end in self._stack.endpoints if end.network.resolves]
        for own in ends:
            found = _named(own, wanted)
            if not found and wanted.endswith(suffix := f".{own.network.domain.lower()}"):
                found = _named(own, wanted[: -len(suffix)])
            if found:
                return [end.address for end in found]
        return []

    def reverse(self, address: str) -> str | None:
        """The name of an address on one of the stack's networks."""
        for own in self._stack.endpoints:
            end = own.network.endpoint(address) if own.network.resolves else None
            if end is not None and end.names:
                return f"{end.names[0]}.{own.network.domain}"
        return None

    def answer(self, query: Message) -> Message | None:
        """The response, None when others have to be asked."""
        if query.opcode or len(query.questions) != 1:
            return query.reply(Code.NOTIMP if query.opcode else Code.FORMERR)
        question = query.questions[0]
        if question.class_ != dns.IN:
            return None
        if question.type == Type.PTR and (address := dns.reverse_address(question.name)):
            name = self.reverse(address)
            return query.reply(Code.NOERROR, [dns.pointer_record(question.name, name, TTL)]) if name else None
        addresses = self.lookup(question.name)
        if not addresses:
            return None
        random.shuffle(addresses)
        wanted = addresses if question.type in (Type.A, Type.ANY) else []
        return query.reply(Code.NOERROR, [dns.address_record(question.name, address, TTL) for address in wanted])

    def ask(self, data: bytes, reply: Reply, *, stream: bool = False) -> None:
        """Answer a query through `reply`, at once or later. What is no query gets no answer."""
        try:
            query = dns.parse(data)
        except dns.MalformedMessage as error:
            if error.ident is not None and not data[2] & 0x80:
                reply(dns.pack(Message(error.ident, dns.QR | dns.RA | Code.FORMERR)))
            return
        if query.is_response:
            return
        found = self.answer(query)
        if found is not None:
            reply(_fit(query, found, stream=stream))
        elif stream:
            self._forward_stream(query, data, reply)
        else:
            self._forward(query, data, reply)

    def _servers(self) -> list[str]:
        if not any(not end.network.internal for end in self._stack.endpoints):
            return []
        return self._stack.nameservers or forward.nameservers()

    def _forward(self, query: Message, data: bytes, reply: Reply) -> None:
        servers = self._servers()
        if servers:
            loop = self._stack.switch.loop
            forward.Query(loop, servers, data, reply, lambda: reply(_failure(query)), self._stack.nameserver_port)
        else:
            reply(_failure(query))

    def _forward_stream(self, query: Message, data: bytes, reply: Reply) -> None:
        for server in self._servers():
            try:
                reply(forward.ask_stream(server, data, forward.PER_SERVER, self._stack.nameserver_port))
                return
            except OSError:
                continue
        reply(_failure(query))

    def serve(self, io: socket.socket) -> None:
        """Answer the queries of one TCP connection, in a thread of its own (they are rare and short). Owns `io`."""
        threading.Thread(target=self._serve, args=(io,), name="sandbox-dns", daemon=True).start()

    def _serve(self, io: socket.socket) -> None:
        io.settimeout(_IDLE)
        with io, io.makefile("rwb") as stream:

            def reply(answer: bytes) -> None:
                stream.write(len(answer).to_bytes(2, "big") + answer)
                stream.flush()

            try:
                while len(head := stream.read(2)) == 2:
                    self.ask(stream.read(int.from_bytes(head, "big")), reply, stream=True)
            except OSError:
                return  # the client is gone or silent: its own affair


def _named(own: Endpoint, wanted: str) -> list[Endpoint]:
    wanted = own.aliases.get(wanted, wanted)
    return [end for end in own.network.endpoints() if wanted in end.names]


def _failure(query: Message) -> bytes:
    return dns.pack(query.reply(Code.SERVFAIL))


def _fit(query: Message, found: Message, *, stream: bool) -> bytes:
    """The response's bytes; too long for the client's datagrams it is cut, for the client to come by TCP."""
    packed = dns.pack(found)
    if len(packed) <= (_MAX_STREAM if stream else query.payload_size):
        return packed
    return dns.pack(query.reply(found.code, (), dns.TC))
