"""What a model of text writes, on the page."""

from __future__ import annotations

from vaecli.reporting.page.tables import escaped, plain_table

_NOTHING = "(nothing)"


def texts(written: dict) -> str:
    """The section of a report on `texts` of its diagnosis; empty if there is none."""
    parts = []
    pairs = written.get("reconstructions") or []
    if pairs:
        rows = [_row(original, again) for original, again in pairs]
        parts.append(
            "<h3>Reconstructions</h3><p>The most probable words at the mean code of each sentence, "
            "one after the other. The same answer for all is the mark of collapse.</p>"
            + plain_table(("Sentence", "What its code says"), rows)
        )
    if written.get("interpolation"):
        parts.append(
            "<h3>From the first sentence to the second</h3><p>Codes on the line between the two. "
            "A code in use changes what is said step by step.</p>"
            + _listed(written["interpolation"])
        )
    if written.get("samples"):
        parts.append(
            "<h3>Samples</h3><p>Codes from the prior, words drawn one by one.</p>"
            + _listed(written["samples"])
        )
    if written.get("neighbours"):
        rows = [_row(one["text"], *one["nearest"]) for one in written["neighbours"]]
        nearest = len(written["neighbours"][0]["nearest"])
        heads = ("Sentence", "Nearest code", "Second", "Third")[: 1 + nearest]
        parts.append(
            "<h3>Neighbours</h3><p>Sentences with the nearest codes. What they share is what the "
            "code holds.</p>" + plain_table(heads, rows)
        )
    return (
        f'<h2>What the model writes</h2><div class="card scroll">{"".join(parts)}</div>'
        if parts
        else ""
    )


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{escaped(cell or _NOTHING)}</td>' for cell in cells)}</tr>"


def _listed(lines: list[str]) -> str:
    return f"<ol>{''.join(f'<li>{escaped(line or _NOTHING)}</li>' for line in lines)}</ol>"
