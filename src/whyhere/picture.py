"""A picture that a result gives: SVG in a notebook, and a file of any of a few kinds."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from whyhere.errors import UsageError

if TYPE_CHECKING:
    import os

    from PIL import Image

_STYLE = (
    "body{margin:0;background:#fff}figure{margin:0;overflow-x:auto}"
    "svg{display:block;width:100%;min-width:46rem;max-width:72rem;height:auto;margin:0 auto}"
)


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
        target = Path(path)
        suffix = target.suffix.lower()
        if suffix == ".svg":
            content = self.svg.encode()
        elif suffix in {".html", ".htm"}:
            content = self.html().encode()
        elif suffix == ".png":
            content = self.png()
        else:
            kinds = ".svg or .html" if self.raster is None else ".svg, .html or .png"
            raise UsageError(f"{target}: a picture is written as {kinds}, by the suffix of the file")
        try:
            target.write_bytes(content)
        except OSError as error:
            raise UsageError(f"{target}: cannot write it ({error.strerror})") from error
        return target
