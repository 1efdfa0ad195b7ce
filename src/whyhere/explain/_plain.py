"""Records as plain dictionaries and lists, for JSON."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def plain_fields(record: DataclassInstance) -> dict[str, Any]:
    """Return the fields of a record by name; records and tuples in it become dictionaries and lists."""
    return {part.name: _plain(getattr(record, part.name)) for part in fields(record)}


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    if is_dataclass(value) and not isinstance(value, type):
        return plain_fields(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
