"""The frame of a self-contained page that is not about one photo: head, policy, notes, release, footer.

The content security policy allows images in the page and its one style sheet (by hash) and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from whyhere.prediction import ReleaseCard
from whyhere.report._text import printable

_PIN = (
    '<svg viewBox="0 0 20 24" aria-hidden="true" focusable="false"><path d="M10 1a8.5 8.5 0 0 0-8.5 8.5C1.5 '
    '15.5 10 23 10 23s8.5-7.5 8.5-13.5A8.5 8.5 0 0 0 10 1z"/><circle cx="10" cy="9.5" r="3.2"/></svg>'
)


def page(
    *,
    title: str,
    heading: str,
    lede: str,
    body: str,
    card: ReleaseCard,
    notes: Sequence[tuple[str, str]] = (),
    definitions: str = "",
    style: str = "",
) -> str:
    """Return a page in the manner of the report of `whyhere locate`.

    Args:
        title: Title of the page, as text.
        heading: Its heading, as text.
        lede: The sentence below the heading, as text.
        body: HTML; whatever in it came from outside must be escaped.
        card: The release that answered.
        notes: Terms and what they mean, as text: "How to read this".
        definitions: Hidden SVG that the body refers to.
        style: Rules added to the style sheet of the reports.
    """
    sheet = files("whyhere.report").joinpath("report.css").read_text("utf-8") + style
    called = f"Release {card.name} {card.version}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(sheet)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        '<meta name="generator" content="whyhere">\n<link rel="icon" href="data:,">\n'
        f"<title>{_text(title)}</title>\n<style>{sheet}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#main">Skip to the content</a>\n{definitions}\n<header class="masthead">\n'
        f'<p class="brand">{_PIN}whyhere</p>\n<p class="release">{_text(called)}</p>\n'
        f'<h1>{_text(heading)}</h1>\n<p class="lede">{_text(lede)}</p>\n</header>\n'
        f'<main id="main">\n{body}\n{_notes(notes)}{about(card)}\n</main>\n<footer>\n'
        f"<p>{_text(' '.join(card.attribution))}</p>\n"
        "<p>This page is complete: it holds everything it shows and loads nothing.</p>\n"
        "</footer>\n</body>\n</html>\n"
    )


def _notes(notes: Sequence[tuple[str, str]]) -> str:
    if not notes:
        return ""
    entries = "".join(f"<div><dt>{_text(term)}</dt><dd>{_text(words)}</dd></div>\n" for term, words in notes)
    return (
        '<section class="notes" aria-labelledby="reading">\n<h2 id="reading">How to read this</h2>\n'
        f"<dl>\n{entries}</dl>\n</section>\n"
    )


def policy(sheet: str) -> str:
    """Return the content security policy of a page with this style sheet."""
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def about(card: ReleaseCard) -> str:
    """Return the section that says how far to trust a release."""
    limits = "".join(f"<li>{_text(limit)}</li>" for limit in card.limits)
    return (
        '<section class="sheet about" aria-labelledby="about">'
        f'<h2 id="about">{_text(f"Release {card.name} {card.version}")}: how far to trust it</h2>'
        f"<p>{_text(card.summary)}</p><p><strong>{_text(card.accuracy)}</strong></p>"
        f"<ul>{limits}</ul></section>"
    )


def _text(text: str) -> str:
    return escape(printable(text))
