"""Every instruction of a Dockerfile as a frozen struct. ``code`` is its text as the builder prints it, ``line`` counts
from 1. What variables may stand in says ``expanded``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from sandbox.images.dockerfile.expand import Expander

Pairs: TypeAlias = tuple[tuple[str, str], ...]
Self = TypeVar("Self", bound="Instruction")


@dataclass(frozen=True, slots=True)
class Instruction:
    """Base of all. ``expanded`` returns it with its variables replaced."""

    code: str
    line: int

    def expanded(self: Self, expander: Expander) -> Self:
        """Most instructions are taken as they are written."""
        return self


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A here-document as a file; ``expand``: variables in its content are replaced."""

    name: str
    content: str
    expand: bool


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command: ``shell`` if the shell is to be put in front; ``files`` are the here-documents behind it."""

    words: tuple[str, ...] = ()
    shell: bool = True
    files: tuple[InlineFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Arg(Instruction):
    """Build arguments with their defaults (None: none)."""

    arguments: tuple[tuple[str, str | None], ...]

    def expanded(self, expander: Expander) -> Arg:
        """Names and defaults."""
        word = expander.word
        pairs = ((word(name), None if value is None else word(value)) for name, value in self.arguments)
        return replace(self, arguments=tuple(pairs))


@dataclass(frozen=True, slots=True)
class Env(Instruction):
    """Environment variables."""

    pairs: Pairs

    def expanded(self, expander: Expander) -> Env:
        """Names and values."""
        return replace(self, pairs=_expand_pairs(self.pairs, expander))


@dataclass(frozen=True, slots=True)
class Label(Instruction):
    """Labels; ``literal`` for those of the command line."""

    pairs: Pairs
    literal: bool = False

    def expanded(self, expander: Expander) -> Label:
        """Names and values."""
        return self if self.literal else replace(self, pairs=_expand_pairs(self.pairs, expander))


@dataclass(frozen=True, slots=True)
class Maintainer(Instruction):
    """The author."""

    name: str


@dataclass(frozen=True, slots=True)
class Transfer(Instruction):
    """What COPY and ADD have in common. ``chmod`` is octal text, ``contents`` are here-documents."""

    sources: tuple[str, ...]
    contents: tuple[InlineFile, ...]
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()

    def expanded(self: T, expander: Expander) -> T:
        """Everything, here-documents unless their name is quoted."""
        files = (replace(file, content=expander.text(file.content)) if file.expand else file for file in self.contents)
        return replace(
            self,
            sources=tuple(expander.word(source) for source in self.sources),
            contents=tuple(files),
            destination=expander.word(self.destination),
            chown=expander.word(self.chown),
            chmod=expander.word(self.chmod),
            exclude=tuple(expander.word(pattern) for pattern in self.exclude),
        )


T = TypeVar("T", bound=Transfer)


@dataclass(frozen=True, slots=True)
class Copy(Transfer):
    """COPY; ``source`` is what --from says: a stage's name or number, or an image. ``parents`` keeps directories."""

    source: str = ""
    parents: bool = False


@dataclass(frozen=True, slots=True)
class Add(Transfer):
    """ADD; ``checksum`` of a remote file, or of a repository's commit."""

    checksum: str = ""
    keep_git_dir: bool = False
    unpack: bool | None = None

    def expanded(self, expander: Expander) -> Add:
        """The checksum as well."""
        return replace(Transfer.expanded(self, expander), checksum=expander.word(self.checksum))


@dataclass(frozen=True, slots=True)
class RunMount:
    """One --mount of a RUN. ``kind``: bind, cache, tmpfs or secret; ``mode`` are permission bits."""

    kind: str
    target: str = ""
    source: str = ""
    origin: str = ""
    identity: str = ""
    read_only: bool = False
    sharing: str = "shared"
    required: bool = False
    size: int = 0
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Run(Instruction):
    """RUN; ``mounts`` as they are written (:mod:`sandbox.images.dockerfile.mounts`); ``network`` "" = default."""

    command: CommandLine
    mounts: tuple[str, ...] = ()
    network: str = ""
    security: str = ""

    def expanded(self, expander: Expander) -> Run:
        """Only the flags; the command is the shell's business."""
        mounts = tuple(expander.word(text) for text in self.mounts)
        return replace(self, mounts=mounts, network=expander.word(self.network))


@dataclass(frozen=True, slots=True)
class Cmd(Instruction):
    """CMD."""

    command: CommandLine


@dataclass(frozen=True, slots=True)
class Entrypoint(Instruction):
    """ENTRYPOINT; no words take it away."""

    command: CommandLine


@dataclass(frozen=True, slots=True)
class Healthcheck(Instruction):
    """HEALTHCHECK: Docker's Test list, durations in nanoseconds, 0 = the default."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Expose(Instruction):
    """EXPOSE; its words are split again after expansion, so the builder expands them."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class User(Instruction):
    """USER."""

    user: str

    def expanded(self, expander: Expander) -> User:
        """The user."""
        return replace(self, user=expander.word(self.user))


@dataclass(frozen=True, slots=True)
class Volume(Instruction):
    """VOLUME."""

    paths: tuple[str, ...]

    def expanded(self, expander: Expander) -> Volume:
        """The paths."""
        return replace(self, paths=tuple(expander.word(path) for path in self.paths))


@dataclass(frozen=True, slots=True)
class Workdir(Instruction):
    """WORKDIR."""

    path: str

    def expanded(self, expander: Expander) -> Workdir:
        """The path."""
        return replace(self, path=expander.word(self.path))


@dataclass(frozen=True, slots=True)
class StopSignal(Instruction):
    """STOPSIGNAL."""

    signal: str

    def expanded(self, expander: Expander) -> StopSignal:
        """The signal."""
        return replace(self, signal=expander.word(self.signal))


@dataclass(frozen=True, slots=True)
class Shell(Instruction):
    """SHELL."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OnBuild(Instruction):
    """ONBUILD: ``trigger`` is the instruction's text, here-documents included."""

    trigger: str


@dataclass(frozen=True, slots=True)
class Stage:
    """FROM and what follows it. ``name`` is in lower case; ``base`` and ``platform`` are not expanded."""

    base: str
    name: str
    platform: str
    code: str
    line: int
    instructions: tuple[Instruction, ...] = ()


def _expand_pairs(pairs: Pairs, expander: Expander) -> Pairs:
    return tuple((expander.word(name), expander.word(value)) for name, value in pairs)
