"""Records: what whyhere answers and keeps. Frozen, compared by value, and plain data when asked."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class Record(msgspec.Struct, frozen=True):
    """Base of all records; say `frozen=True` at every subclass too, for type checkers.

    `msgspec.structs.replace` makes changed copies, and `msgspec.convert` builds a record from plain data and
    refuses what does not fit.

    Attributes:
        json_fields: Fields, or properties, of the JSON form in their order; all fields where it is empty.

    Example:
        >>> class Town(Record, frozen=True):
        ...     name: str
        ...     position: tuple[float, float]
        >>> Town("Suva", (-18.1, 178.4)).to_dict()
        {'name': 'Suva', 'position': [-18.1, 178.4]}
    """

    json_fields: ClassVar[tuple[str, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: dictionaries, lists, strings and numbers."""
        return self.pick(*(self.json_fields or self.__struct_fields__))

    def pick(self, *names: str) -> dict[str, Any]:
        """Return some fields or properties in their JSON form."""
        return {name: plain(getattr(self, name)) for name in names}


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    """Return a value as JSON has it: records as dictionaries, tuples as lists, NumPy's numbers as floats."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value
