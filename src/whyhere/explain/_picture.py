"""A picture that notebooks show and that can be saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from whyhere.errors import UsageError

if TYPE_CHECKING:
    import os


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing as self-contained SVG, without any drawing library.

    Attributes:
        svg: The drawing as a complete SVG document.
        title: What it shows, in a few words.
    """

    svg: str = field(repr=False)
    title: str

    def _repr_svg_(self) -> str:
        """Show the drawing in a notebook."""
        return self.svg

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the drawing to an .svg file and return its path.

        Raises:
            UsageError: The suffix names another format, or the file cannot be written.
        """
        target = Path(path)
        if target.suffix.lower() != ".svg":
            raise UsageError(f"{target}: this picture is written as .svg; name a file that ends so")
        try:
            target.write_text(self.svg, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{target}: cannot write it ({error.strerror})") from error
        return target
