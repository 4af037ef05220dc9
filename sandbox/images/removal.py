"""What ``docker rmi`` does: untag, or delete with everything that only this image needed. dockerd's rules and words
(daemon/images/image_delete.go): a name given removes that name, the image only when no name is left; an id given needs
all names to be of one repository, unless forced.
"""

from __future__ import annotations

from collections.abc import Callable, MutableSet
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
    """One line of the answer: ``untagged`` (a familiar name) or ``deleted`` (an image or layer id) is set.

    ``image`` is the id of the image that it is about.
    """

    image: str
    untagged: str = ""
    deleted: str = ""


def remove(
    store: Store,
    ref: str,
    *,
    users: Callable[[str], Users],
    force: bool = False,
    prune: bool = True,
    doomed: MutableSet[str] | None = None,
) -> list[Removed]:
    """Remove what ``ref`` names; ``users`` says who uses an image id. ImageNotFound, ImageConflict.

    ``prune`` also deletes parents that are left without a name, as dockerd does unless told ``noprune``. ``doomed``
    are the images that count as removed while a container still needs their content: an image in use that is removed
    by force becomes one.
    """
    image = store.resolve(ref)
    return _Removal(store, users, force, prune, set() if doomed is None else doomed).remove(ref, image.id)


@dataclass
class _Removal:
    store: Store
    users: Callable[[str], Users]
    force: bool
    prune: bool
    doomed: MutableSet[str]

    def remove(self, ref: str, image_id: str) -> list[Removed]:
        if not _is_id(ref, image_id):
            return self._remove_name(image_id, parse(ref).tagged())
        references = self.store.references(image_id)
        removed: list[Removed] = []
        if _single_repository(references):
            self._check(image_id, force=self.force, named=False)
            removed += self._untag(image_id, references)
        return removed + self._delete(image_id, force=self.force, quiet=False)

    def _remove_name(self, image_id: str, reference: Reference) -> list[Removed]:
        used = self.users(image_id)
        user = used.running or used.stopped
        if user and not self.force and _single_repository(self.store.references(image_id)):
            raise ImageConflict(
                f'conflict: unable to remove repository reference "{reference.familiar}" (must force) - '
                f"container {user[:12]} is using its referenced image {_short(image_id)}"
            )
        removed = self._untag(image_id, [reference])
        left = self.store.references(image_id)
        same = [ref for ref in left if ref.name == reference.name]
        if not reference.digest and all(ref.digest for ref in same):
            removed += self._untag(image_id, same)
            left = self.store.references(image_id)
        return removed if left else removed + self._delete(image_id, force=self.force, quiet=True)

    def _delete(self, image_id: str, *, force: bool, quiet: bool) -> list[Removed]:
        """Delete an image, then its parents; ``quiet``: what may not be deleted stays without an error."""
        try:
            used = self._check(image_id, force=force, named=True)
        except ImageConflict:
            if quiet:
                return []
            raise
        parent = self.store.get(image_id).parent
        removed = self._untag(image_id, self.store.references(image_id))
        if used.stopped:
            self.doomed.add(image_id)
            return [*removed, Removed(image_id, deleted=image_id)]
        removed += [Removed(image_id, deleted=gone) for gone in self.store.delete(image_id)]
        if not self.prune or not parent or parent in self.doomed or not self.store.has(parent):
            return removed
        return removed + self._delete(parent, force=False, quiet=True)

    def _check(self, image_id: str, *, force: bool, named: bool) -> Users:
        """Hard conflicts cannot be forced, soft ones can; ``named``: remaining names are a (soft) conflict too."""
        short = _short(image_id)
        if set(self.store.children(image_id)) - self.doomed:
            raise ImageConflict(
                f"conflict: unable to delete {short} (cannot be forced) - image has dependent child images"
            )
        used = self.users(image_id)
        if used.running:
            raise ImageConflict(
                f"conflict: unable to delete {short} (cannot be forced) - "
                f"image is being used by running container {used.running[:12]}"
            )
        if force:
            return used
        if named and self.store.references(image_id):
            raise ImageConflict(
                f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
            )
        if used.stopped:
            raise ImageConflict(
                f"conflict: unable to delete {short} (must be forced) - "
                f"image is being used by stopped container {used.stopped[:12]}"
            )
        return used

    def _untag(self, image_id: str, references: list[Reference]) -> list[Removed]:
        ordered = sorted(references, key=lambda ref: (ref.digest is not None, str(ref)))
        return [Removed(image_id, untagged=self.store.untag(ref).familiar) for ref in ordered]


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
