"""What ``docker rmi`` does: untag, or delete with everything that only this image needed. dockerd's rules and words
(daemon/images/image_delete.go): a name given removes that name, the image only when no name is left; an id given needs
all names to be of one repository, unless forced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.images.errors import ImageConflict
from sandbox.images.reference import Reference, id_prefix, parse
from sandbox.images.store import Store


@dataclass(frozen=True, slots=True)
class Users:
    """Ids of containers that use an image: one that runs, one that does not; ``""`` for none."""

    running: str = ""
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class Removed:
    """One line of the answer: ``untagged`` (a familiar name) or ``deleted`` (an image or layer id) is set."""

    untagged: str = ""
    deleted: str = ""


def remove(
    store: Store,
    ref: str,
    *,
    users: Callable[[str], Users],
    force: bool = False,
    prune: bool = True,
) -> list[Removed]:
    """Remove what ``ref`` names; ``users`` says who uses an image id. ImageNotFound, ImageConflict.

    ``prune`` also deletes parents that are left without a name, as dockerd does unless told ``noprune``.
    """
    image = store.resolve(ref)
    references = store.references(image.id)
    removed: list[Removed] = []
    if not _is_id(ref, image.id):
        return _remove_name(store, image.id, parse(ref).tagged(), users, force=force, prune=prune)
    if _single_repository(references):
        _check(store, image.id, users(image.id), force=force, named=False)
        removed += _untag(store, references)
    return removed + _delete(store, image.id, users, force=force, prune=prune, quiet=False)


def _remove_name(
    store: Store, image_id: str, reference: Reference, users: Callable[[str], Users], *, force: bool, prune: bool
) -> list[Removed]:
    used = users(image_id)
    user = used.running or used.stopped
    before = store.references(image_id)
    if user and not force and _single_repository(before):
        raise ImageConflict(
            f'conflict: unable to remove repository reference "{reference.familiar}" (must force) - '
            f"container {user[:12]} is using its referenced image {_short(image_id)}"
        )
    removed = _untag(store, [reference])
    left = store.references(image_id)
    same = [ref for ref in left if ref.name == reference.name]
    if not reference.digest and all(ref.digest for ref in same):
        removed += _untag(store, same)
        left = store.references(image_id)
    if left:
        return removed
    return removed + _delete(store, image_id, users, force=force, prune=prune, quiet=True)


def _delete(
    store: Store, image_id: str, users: Callable[[str], Users], *, force: bool, prune: bool, quiet: bool
) -> list[Removed]:
    used = users(image_id)
    try:
        _check(store, image_id, used, force=force, named=True)
    except ImageConflict:
        if quiet and (store.references(image_id) or used.running or used.stopped or store.children(image_id)):
            return []
        raise
    parent = store.get(image_id).parent
    removed = _untag(store, store.references(image_id))
    removed += [Removed(deleted=gone) for gone in store.delete(image_id)]
    if not prune or not parent or parent not in store.ids():
        return removed
    return removed + _delete(store, parent, users, force=False, prune=True, quiet=True)


def _check(store: Store, image_id: str, used: Users, *, force: bool, named: bool) -> None:
    """Hard conflicts cannot be forced, soft ones can; ``named``: remaining names are a (soft) conflict too."""
    short = _short(image_id)
    if store.children(image_id):
        raise ImageConflict(f"conflict: unable to delete {short} (cannot be forced) - image has dependent child images")
    if used.running:
        raise ImageConflict(
            f"conflict: unable to delete {short} (cannot be forced) - "
            f"image is being used by running container {used.running[:12]}"
        )
    if force:
        return
    if named and store.references(image_id):
        raise ImageConflict(
            f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
        )
    if used.stopped:
        raise ImageConflict(
            f"conflict: unable to delete {short} (must be forced) - "
            f"image is being used by stopped container {used.stopped[:12]}"
        )


def _untag(store: Store, references: list[Reference]) -> list[Removed]:
    ordered = sorted(references, key=lambda ref: (ref.digest is not None, str(ref)))
    return [Removed(untagged=store.untag(ref).familiar) for ref in ordered]


def _is_id(ref: str, image_id: str) -> bool:
    prefix = id_prefix(ref)
    return prefix is not None and image_id.removeprefix("sha256:").startswith(prefix)


def _single_repository(references: list[Reference]) -> bool:
    """dockerd's isSingleReference: at most one name, or one tag with digests of the same repository."""
    if len(references) <= 1:
        return True
    tags = [ref for ref in references if ref.digest is None]
    return len(tags) <= 1 and len({ref.name for ref in references}) == 1


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]
