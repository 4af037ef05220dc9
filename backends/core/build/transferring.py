"""COPY and ADD as steps: a new layer over the stage's image."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import replace

from backends.api.errors import InvalidArgument
from backends.core.build.copying import copy_sources, find_mode, find_owner
from backends.core.build.layerdraft import LayerDraft
from backends.core.build.parts import StageState
from backends.core.build.remote import checkout, download, is_git, is_url
from backends.core.build.runmounts import source_image
from backends.core.build.sources import Finder, Found, Inline, Rules, identity, inline
from backends.core.build.steps import Steps
from sandbox.images.dockerfile.instructions import Add, Copy
from sandbox.images.threads import in_thread
from sandbox.images.tree import LowerTree


async def copy(steps: Steps, state: StageState, instruction: Copy | Add) -> None:
    """Carry out a COPY or ADD."""
    job = steps.job
    name = "ADD" if isinstance(instruction, Add) else "COPY"
    origin = instruction.source if isinstance(instruction, Copy) else ""
    rules = Rules(
        owner=None if origin and not instruction.chown else (0, 0),
        mode=find_mode(instruction.chmod) if instruction.chmod else None,
        unpack=isinstance(instruction, Add) and instruction.unpack is not False,
        unpack_remote=isinstance(instruction, Add) and instruction.unpack is True,
        parents=isinstance(instruction, Copy) and instruction.parents,
        exclude=instruction.exclude,
    )
    tree = await in_thread(job.tree, await source_image(job, origin)) if origin else job.context.tree
    sources = await _sources(steps, instruction, tree, name, rules)
    if len(sources) > 1 and not instruction.destination.endswith("/"):
        raise InvalidArgument(
            f"When using {name} with more than one source file, the destination must be a directory and end with a /"
        )
    config = steps.with_command(state, steps.comment(state, f"#(nop) {_comment(name, instruction, sources)}"))
    if await steps.cached(state, config):
        return
    destination = _destination(state.draft.config.get("WorkingDir") or "", instruction.destination)
    now = job.parts.context.clock()

    def work(draft: LayerDraft) -> None:
        how = rules
        if instruction.chown:
            owner = find_owner(job.tree(state.image), instruction.chown)
            how = replace(rules, owner=owner, chown=True)
        copy_sources(draft, sources, destination, how, now)

    await steps.commit(state, config, "", await steps.draw_layer(state, work))


async def _sources(
    steps: Steps, instruction: Copy | Add, tree: LowerTree, name: str, rules: Rules
) -> Sequence[Found | Inline]:
    job = steps.job
    add = instruction if isinstance(instruction, Add) else None
    remote = [word for word in instruction.sources if is_url(word) or (add and is_git(word))]
    if remote and add is None:
        raise InvalidArgument("COPY failed: source can't be a URL for COPY")
    if add and add.checksum:
        if len(add.sources) + len(add.contents) > 1:
            raise InvalidArgument("checksum can't be specified for multiple sources")
        if not remote:
            raise InvalidArgument("checksum requires HTTP(S) or Git sources")
    local = [word for word in instruction.sources if word not in remote]
    from_context = not (isinstance(instruction, Copy) and instruction.source)
    missing = "file not found in build context or excluded by .dockerignore: " if from_context else ""
    finder = Finder(job.parts.trees, tree, rules, name, missing)
    found: list[Found | Inline] = list(await in_thread(finder.find, local))
    for url in remote:
        assert add is not None
        if is_git(url):
            repository = await checkout(job, url, add.checksum, add.keep_git_dir)
            found += await in_thread(Finder(job.parts.trees, repository, rules, name, "").find, ["."])
        else:
            found.append(await download(job, url, add.checksum, add.destination))
    return [*found, *(inline(file) for file in instruction.contents)]


def _comment(name: str, instruction: Copy | Add, sources: Sequence[Found | Inline]) -> str:
    """Docker's comment; it has no blank behind --chown. What Docker's builder does not know comes in the same way."""
    flags = f"--chown={instruction.chown}" if instruction.chown else ""
    flags += f"--chmod={instruction.chmod} " if instruction.chmod else ""
    flags += "".join(f"--exclude={pattern} " for pattern in instruction.exclude)
    if isinstance(instruction, Copy) and instruction.parents:
        flags += "--parents" + "".join(f":{source.path}" for source in sources if isinstance(source, Found)) + " "
    if isinstance(instruction, Add) and instruction.unpack is not None:
        flags += f"--unpack={str(instruction.unpack).lower()} "
    return f"{name} {flags}{identity(sources)} in {instruction.destination} "


def _destination(workdir: str, text: str) -> str:
    if text.startswith("/"):
        return text
    joined = posixpath.normpath(posixpath.join("/", workdir, text))
    return f"{joined}/" if text.endswith("/") and joined != "/" else joined
