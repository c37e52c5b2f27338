"""Rows that are carried from one state of a LanceDB table to another, each only once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra
from intertwine.stores.lancedb.arrow import EXTRA, one_line
from intertwine.stores.lancedb.digests import digests, origins_of
from intertwine.stores.lancedb.folder import PAGE
from intertwine.stores.origins import KEPT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.stores.lancedb.new_table import NewTable


def remove(target: NewTable, pinned: Any) -> None:
    """Remove what a version of the source no longer has from the target, and from under the name."""
    lost = [item for ids in list(target.gone(pinned)) for item in ids]
    for first in range(0, len(lost), PAGE):
        some = lost[first : first + PAGE]
        if target.carrying:
            known, there = target.noted(some), target.under_name(some)
            same = [
                item
                for item in some
                if (noted := known.get(item))
                and (found := there.get(item))
                and found.rest == noted.rest
            ]
            if same:
                with one_line():
                    target.source.table.delete(target.source.where_ids(same))
        target.remove(some)
    target.carried.removed |= dict.fromkeys(lost)


def remove_streamed(target: NewTable, pinned: Any) -> None:
    """Remove rows from under the name that were written there last and had gone by then."""
    ids = list(target.streamed)
    found = target.source.find(ids, [target.columns.id], pinned)
    there = {item for page in found for item in page[target.columns.id].to_pylist()}
    lost = [item for item in ids if item not in there]
    if lost:
        with one_line():
            target.source.table.delete(target.source.where_ids(lost))


def old_rows(target: NewTable, ids: Sequence[Any], old: Any) -> tuple[Any, list[int | None]]:
    """Return rows of an old version that have some ids, and the row of each id among them."""
    found = import_extra("pyarrow", EXTRA).concat_tables(
        list(target.source.find(ids, old.schema.names, old))
    )
    places = {item: row for row, item in enumerate(found[target.columns.id].to_pylist())}
    return found, [places.get(item) for item in ids]


def with_old(target: NewTable, page: Any, old: Any, found: Any, places: list[int | None]) -> Any:
    """Return a page with the old vectors of its rows, null where there is none."""
    arrow, vector = import_extra("pyarrow", EXTRA), target.columns.vector
    column = found[vector].combine_chunks().take(arrow.array(places, arrow.int64()))
    where = page.schema.get_field_index(vector)
    return page.set_column(where, old.schema.field(vector).with_nullable(True), column)


def absorb(target: NewTable, pinned: Any, old: Any, start: int = 0) -> None:
    """Bring a target to rows of the source that it stands for, new vectors and all."""
    for found in target.source.pages(target.names, PAGE, start, pinned):
        _absorb_page(target, found.select(target.names), old)


def _absorb_page(target: NewTable, page: Any, old: Any) -> None:
    """Bring rows of a target to those of a page, and note which have come or changed since the switch."""
    columns, ids = target.columns, page[target.columns.id].to_pylist()
    found, places = old_rows(target, ids, old)
    back = with_old(target, page, old, found, places)
    _count(target, back, found, places)
    now, known = origins_of(back, columns.vector, target.others), target.noted(ids)
    notes, chosen = [], []
    for item, origin, new in zip(ids, now, digests(page[columns.vector]), strict=True):
        before = known.get(item)
        same = before is not None and before.new == new
        chosen.append(not (same and before and before.same_source(origin)))
        how = before.how if same and before else KEPT
        notes.append(replace(origin, new=new, how=how).to_text())
    if any(chosen):
        mask = import_extra("pyarrow", EXTRA).array(chosen)
        if target.carrying:
            some = [origin for origin, kept in zip(now, chosen, strict=True) if kept]
            target.put_under_name(back.filter(mask), some, known)
        _replace_rows(target, target.rows(page, page[columns.vector], notes).filter(mask))


def _count(target: NewTable, page: Any, found: Any, places: list[int | None]) -> None:
    """Note which rows of a page are not among old ones, or not as they were, their vectors aside."""
    vector, carried = target.columns.vector, target.carried
    both = [name for name in target.others if name in found.schema.names]
    before = [origin.rest for origin in origins_of(found, vector, both)]
    for item, origin, place in zip(
        page[target.columns.id].to_pylist(), origins_of(page, vector, both), places, strict=True
    ):
        if place is None:
            carried.added[item] = None
        elif before[place] != origin.rest:
            carried.edited[item] = None


def _replace_rows(target: NewTable, data: Any) -> None:
    """Write rows to the target, also over what others wrote there while it had the name."""
    with one_line():
        merge = target.table.merge_insert(target.columns.id)
        merge.when_matched_update_all().when_not_matched_insert_all().execute(
            data, on_bad_vectors="null"
        )
