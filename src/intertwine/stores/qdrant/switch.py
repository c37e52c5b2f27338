"""The collection that an alias stands for: changed in one request, and back, while others write.

Qdrant has no transaction over two collections. So before the alias moves the new collection is
brought to the old one, and after it has moved what came in between is brought over as well: each
point goes by what the target's ledger says it looked like when both were the same, so that a later
change is never written over by an earlier one. The step that is under way is in the target's
metadata: a run that finds it completes what a killed one began.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.stores.carried import Carried
from intertwine.stores.origins import KEPT
from intertwine.stores.qdrant.collection import find_collection, one_line
from intertwine.stores.qdrant.ledger import Entry, delete, look_at, origin_of, vectors_of
from intertwine.stores.qdrant.store import PAGE, QdrantStore
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intertwine.stores.qdrant.new_collection import NewCollection
    from intertwine.stores.store import Batch, Convert

FORWARD, BACK = "forward", "back"
# Looks at the source before a switch, and changes that need no further look.
LOOKS, FEW = 5, 100


@dataclass
class CarriedPoints(Carried):
    """Points that a rollback carried along; `left` are new ones that the old collection refused."""

    kind: str = "points"
    spell: Callable[[Any], str] = str
    left: dict[Any, None] = field(default_factory=dict)

    def notes(self, old: str, new: str) -> list[str]:
        """Return notes of them, by the names of the old place and the new one."""
        found = super().notes(old, new)
        if not self.left:
            return found
        are = "is" if len(self.left) == 1 else "are"
        left = (
            f"{self._after_the_switch('came', 'came', self.left)}, {are} in {new} only, by --force: the old "
            "collection takes no point without a vector"
        )
        return [left, *found]


def switch(target: NewCollection, convert: Convert) -> list[str]:
    """Make the source's alias stand for a target, in one step for all readers; return notes."""
    target.alias_of()
    for batch in carry_unfinished(target, PAGE):
        target.write(batch, convert(batch))
    if target.switched():
        return []
    written = removed = 0
    for _ in range(LOOKS):
        wrote, lost = target.catch_up(target.source, convert)
        written, removed = written + wrote, removed + lost
        if wrote + lost <= FEW:
            break
    old = target.source.collection.name
    target.note(target.record.switched(old), FORWARD)
    _move(target, old, target.collection.name)
    for batch in carry_unfinished(target, PAGE):
        written += target.write(batch, convert(batch))
    if not written + removed:
        return []
    late = counted(
        written, "point that had come or changed was", "points that had come or changed were"
    )
    gone = counted(removed, "that had gone was", "that had gone were")
    return [f"{late} converted at the switch itself, {gone} removed"]


def _move(target: NewCollection, before: str, collection: str) -> None:
    """Make the alias stand for another collection, in one request, unless others have moved it."""
    models, alias = target.models, target.alias_of()
    found = target.stands_for()
    if found != before:
        raise InputError(
            f"{target.source.name}: the alias stands for {found!r} now and not for {before!r} any more: "
            "somebody else moved it; nothing was switched over"
        )
    gone = models.DeleteAlias(alias_name=alias)
    new = models.CreateAlias(collection_name=collection, alias_name=alias)
    steps = [
        models.DeleteAliasOperation(delete_alias=gone),
        models.CreateAliasOperation(create_alias=new),
    ]
    target.ask("update_collection_aliases", steps)


def carry_unfinished(target: NewCollection, size: int) -> Iterator[Batch]:
    """Complete a step that was not completed; yield points that have to be converted and written for it."""
    step, switched = target.step(), target.switched()
    if step == FORWARD and not switched:
        # It was killed before the alias moved.
        target.note(target.record)
    elif step == FORWARD:
        old = _old(target)
        with _live(target):
            yield from target.stale(old, size)
            target.remove_gone(old)
        target.note(target.record.switched(old.collection.name))
    elif step == BACK and not switched:
        _merge(target, _old(target), CarriedPoints(), late=True, force=True)
        target.note(target.record)


@contextmanager
def _live(target: NewCollection) -> Iterator[None]:
    """Mark the alias as standing for the target, so that what is not there was deleted."""
    target.live = True
    try:
        yield
    finally:
        target.live = False


def _old(target: NewCollection) -> QdrantStore:
    """Return the collection that the alias stood for before the switch."""
    record = target.mark()
    name = record.kept if record and record.kept else target.source.collection.name
    asked = target.collection.vector or None
    with one_line(target.secrets, target.address.shown):
        found = find_collection(target.client, name, asked, f"{target.source.name}, as it was")
    found = replace(found, alias=target.source.collection.alias)
    return QdrantStore(target.source.address, target.client, found, target.secrets)


def rollback(target: NewCollection, *, force: bool) -> list[str]:
    """Make the alias stand for the old collection again; return notes.

    What was added, edited and deleted under the alias since the switch is so in the old collection
    too; added points have no old vector there, which it must accept unless forced. The new
    collection keeps everything. Open the source again to read it.
    """
    target.alias_of()
    step, carried = target.step(), CarriedPoints()
    if step == FORWARD and target.switched():
        raise InputError(
            f"{target.source.name}: its switch was cut short; run it again to complete it (without "
            "--rollback), then roll back"
        )
    if step == BACK and not target.switched():
        list(carry_unfinished(target, PAGE))
        return ["completed a way back that was cut short"]
    record = target.mark() if target.exists() else None
    if not target.switched() or record is None or record.kept is None:
        raise InputError(f"{target.source.name} is not switched over; nothing to roll back")
    old = _old(target)
    if not target.ledger.exists():
        target.ledger.create()
    target.note(record, BACK)
    _merge(target, old, carried, late=False, force=force)
    _move(target, target.collection.name, record.kept)
    _merge(target, old, carried, late=True, force=True)
    target.note(target.record)
    return carried.notes(target.source.address.shown, target.name)


def _merge(
    target: NewCollection, old: QdrantStore, carried: CarriedPoints, *, late: bool, force: bool
) -> None:
    """Bring what changed under the alias since the switch to the old collection.

    It is counted in `carried`. `late` is whether the alias stands for the old one again, whose
    changes are the later ones then; `force` leaves out points that the old one does not take
    without a vector.
    """
    for page in target.scroll(PAGE, with_payload=True, with_vectors=True):
        _merge_page(target, old, page, carried, late=late, force=force)
    for ids in target.ledger.pages():
        here = {
            str(record.id)
            for record in target.retrieve(ids, with_payload=False, with_vectors=False)
        }
        lost = [item for item in ids if str(item) not in here]
        if not lost:
            continue
        entries = target.ledger.read(lost)
        there = old.retrieve(lost, with_payload=True, with_vectors=True)
        gone = [
            record.id
            for record in there
            if not late or _is_base(entries.get(str(record.id)), record, target)
        ]
        delete(old, old.collection.name, gone)
        target.ledger.remove(lost)
        carried.removed |= dict.fromkeys(gone)


def _is_base(entry: Entry | None, record: Any, target: NewCollection) -> bool:
    """Whether a point of the old collection is as it was when both were the same."""
    return entry is not None and entry.origin.same_source(
        origin_of(record, target.collection.vector)
    )


def _merge_page(
    target: NewCollection,
    old: QdrantStore,
    page: list[Any],
    carried: CarriedPoints,
    *,
    late: bool,
    force: bool,
) -> None:
    """Bring some points to the old collection, and note how both are then."""
    vector, ids = target.collection.vector, [record.id for record in page]
    entries = target.ledger.read(ids)
    there = _by_id(old, ids)
    added, edited = [], []
    for record in page:
        entry, before = entries.get(str(record.id)), there.get(str(record.id))
        look = look_at(record, vector)
        if before is None:
            if entry is None or not late:
                added.append(record)
            continue
        base = entry.look if entry else look_at(before, vector)
        if not look.same_rest(base) and (not late or _is_base(entry, before, target)):
            edited.append((record, before))
    carried.edited |= dict.fromkeys(record.id for record, _ in edited)
    points = [target.point(r, vectors_of(before, vector)[0]) for r, before in edited]
    if points:
        old.ask("upsert", old.collection.name, points, wait=True)
    _add(target, old, added, carried, force=force)
    _note_both(target, page, entries, _by_id(old, ids))


def _by_id(store: QdrantStore, ids: list[Any]) -> dict[str, Any]:
    records = store.retrieve(ids, with_payload=True, with_vectors=True)
    return {str(record.id): record for record in records}


def _add(
    target: NewCollection,
    old: QdrantStore,
    records: list[Any],
    carried: CarriedPoints,
    *,
    force: bool,
) -> None:
    """Add points to the old collection, without its vector; where it takes none so, only if forced."""
    if not records:
        return
    ids = dict.fromkeys(record.id for record in records)
    mode = target.models.UpdateMode.INSERT_ONLY
    points = [target.point(record, None) for record in records]
    try:
        old.ask("upsert", old.collection.name, points, wait=True, update_mode=mode)
    except InputError as error:
        if not force:
            raise InputError(
                f"{target.source.name}: {counted(len(ids), 'point')} or more that came after the switch, "
                f"{carried.named(ids)} among them, cannot be brought to {old.collection.name} without an old "
                f"vector ({error}); with --force they stay in {target.name} only"
            ) from None
        carried.left |= ids
        return
    carried.added |= ids


def _note_both(
    target: NewCollection, page: list[Any], entries: dict[str, Entry], there: dict[str, Any]
) -> None:
    """Note how points are in both collections, where that is not noted already."""
    vector, changed = target.collection.vector, {}
    for record in page:
        before, entry = there.get(str(record.id)), entries.get(str(record.id))
        look = look_at(record, vector)
        if before is None or not look_at(before, vector).same_rest(look):
            # The old collection's own changes are later ones, and are to be seen as such.
            continue
        origin = origin_of(before, vector, KEPT)
        if entry is not None:
            same = entry.look.same_vector(look)
            origin = replace(origin, old=entry.origin.old, how=entry.origin.how if same else KEPT)
        new = Entry(origin, (look,))
        if entry is None or not entry.look.same(look) or entry.origin != origin:
            changed[record.id] = new
    if changed:
        target.ledger.write(changed)
