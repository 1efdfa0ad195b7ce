"""What every result can do: show itself, and save itself; and the picture that it gives."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from whyhere.errors import UsageError

if TYPE_CHECKING:
    import os

    from PIL import Image

_STYLE = (
    "body{margin:0;background:#fff}figure{margin:0;overflow-x:auto}"
    "svg{display:block;width:100%;min-width:52rem;max-width:72rem;height:auto;margin:0 auto}"
)


Files: TypeAlias = Mapping[str, Callable[[], str | bytes]]
"""What makes a file of something, by suffix."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing that needs nothing else: no script, no font, no request, no plotting library.

    Attributes:
        svg: The drawing as a complete SVG document.
        title: What it shows, in a few words.
        raster: Draws it as an image; None where it exists as SVG alone.
    """

    svg: str = field(repr=False)
    title: str = "whyhere"
    raster: Callable[[], Image.Image] | None = field(default=None, repr=False, compare=False)

    def _repr_svg_(self) -> str:
        """Show the drawing in a notebook."""
        return self.svg

    def files(self) -> Files:
        """Return what makes a file of the drawing, by suffix."""
        return {".svg": lambda: self.svg, ".png": self.png}

    def png(self) -> bytes:
        """Return the drawing as a PNG file.

        Raises:
            UsageError: It exists as SVG alone.
        """
        if self.raster is None:
            raise UsageError(f"{self.title}: there is no PNG of this picture; save it as .svg or .html")
        buffer = io.BytesIO()
        self.raster().save(buffer, "PNG", optimize=True)
        return buffer.getvalue()

    def html(self) -> str:
        """Return a page that shows the drawing and loads nothing."""
        digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
        policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'"
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<link rel="icon" href="data:,">\n<title>{escape(self.title)}</title>\n'
            f"<style>{_STYLE}</style>\n</head>\n<body>\n<figure tabindex='0'>{self.svg}</figure>\n</body>\n"
            "</html>\n"
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the drawing to a file.

        Args:
            path: The suffix says what is written: .svg, .html or, where the picture has one, .png.

        Returns:
            The path.

        Raises:
            UsageError: The suffix names nothing that this picture can be, or the file cannot be written.
        """
        kinds = {suffix: make for suffix, make in self.files().items() if suffix != ".png" or self.raster}
        return save_as(path, {**kinds, ".html": self.html, ".htm": self.html})


class Result:
    """A result that shows itself at a prompt and in a notebook, and saves itself to files."""

    __slots__ = ()

    def plot(self) -> Picture:
        """Draw it."""
        raise NotImplementedError

    def _lines(self) -> Sequence[str]:
        """Return its essence in at most three lines."""
        raise NotImplementedError

    def _files(self) -> Files:
        """Return what makes a file of it, by suffix."""
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it to a file.

        Args:
            path: The suffix says what is written: .json, .html, .txt, .svg and .png always; of a prediction
                .jsonl, .csv, .geojson, .kml and .gpx too, and of a concept map .geojson.

        Returns:
            The path.

        Raises:
            UsageError: The suffix names nothing that this can be, or the file cannot be written.
        """
        return save_as(path, self._files())

    def __repr__(self) -> str:
        """Say the essence."""
        return "\n  ".join(filter(None, self._lines()))

    def _repr_html_(self) -> str:
        """Show the same and the picture in a notebook."""
        first, *others = (escape(line) for line in self._lines() if line)
        text = "<br>".join((f"<strong>{first}</strong>", *others))
        return f'<div style="max-width:64rem"><p>{text}</p>{self.plot().svg}</div>'


def save_as(path: str | os.PathLike[str], kinds: Files) -> Path:
    """Write a result to a file.

    Args:
        path: The suffix says what is written.
        kinds: What makes the content, by suffix.

    Returns:
        The path.

    Raises:
        UsageError: The suffix is none of these, or the file cannot be written.
    """
    target = Path(path)
    make = kinds.get(target.suffix.lower())
    if make is None:
        raise UsageError(f"{target}: the suffix of the file says what is written: one of {', '.join(kinds)}")
    content = make()
    try:
        target.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    except OSError as error:
        raise UsageError(f"{target}: cannot write it ({error.strerror})") from error
    return target
