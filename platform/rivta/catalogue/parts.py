"""A draft by its files: the rows that some of them hold, and the rows of all others."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import PurePath

from rivta.catalogue.rows import Draft, Place


def of_files(draft: Draft, names: Collection[str]) -> Draft:
    """The rows that stand in the files of these names, whatever folder they are said to be in."""
    return _chosen(draft, lambda place: PurePath(place.file).name in names)


def of_other_files(draft: Draft, names: Collection[str]) -> Draft:
    """The rows that stand in no file of these names."""
    return _chosen(draft, lambda place: PurePath(place.file).name not in names)


def joined(one: Draft, other: Draft) -> Draft:
    """The rows of both; the resolution of `one`, if it has any."""
    return Draft(
        components=one.components + other.components,
        producer_addresses=one.producer_addresses + other.producer_addresses,
        logical_addresses=one.logical_addresses + other.logical_addresses,
        routes=one.routes + other.routes,
        permissions=one.permissions + other.permissions,
        resolution=one.resolution or other.resolution,
    )


def file_names(draft: Draft) -> set[str]:
    """The names of the files that its rows stand in."""
    return {PurePath(place.file).name for place in _places(draft)}


def _chosen(draft: Draft, is_chosen: Callable[[Place], bool]) -> Draft:
    resolution = draft.resolution
    keeps_resolution = resolution is not None and resolution.place is not None and is_chosen(resolution.place)
    return replace(
        draft,
        components=tuple(row for row in draft.components if is_chosen(row.place)),
        producer_addresses=tuple(row for row in draft.producer_addresses if is_chosen(row.place)),
        logical_addresses=tuple(row for row in draft.logical_addresses if is_chosen(row.place)),
        routes=tuple(row for row in draft.routes if is_chosen(row.place)),
        permissions=tuple(row for row in draft.permissions if is_chosen(row.place)),
        resolution=resolution if keeps_resolution else None,
    )


def _places(draft: Draft) -> Iterable[Place]:
    for rows in (draft.components, draft.producer_addresses, draft.logical_addresses, draft.routes, draft.permissions):
        for row in rows:
            yield row.place
    if draft.resolution is not None and draft.resolution.place is not None:
        yield draft.resolution.place
