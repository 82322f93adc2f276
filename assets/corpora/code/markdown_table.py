"""Lay out rows of data as a Markdown table."""

from collections.abc import Iterable, Sequence


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table whose columns are as wide as their longest cell.

    Columns that hold nothing but numbers are set to the right.

    >>> print(markdown_table(["fruit", "price"], [["fig", 12], ["banana", 3]]))
    | fruit  | price |
    | ------ | ----: |
    | fig    |    12 |
    | banana |     3 |
    """
    body = [list(row) for row in rows]
    to_right = [
        bool(body) and all(isinstance(row[i], int | float) for row in body)
        for i in range(len(headings))
    ]
    table = [list(headings), *([_escape(cell) for cell in row] for row in body)]
    widths = [max(3, *map(len, column)) for column in zip(*table, strict=True)]

    rule = [
        "-" * (width - 1) + (":" if right else "-")
        for width, right in zip(widths, to_right, strict=True)
    ]
    table.insert(1, rule)

    def layout(row: list[str]) -> str:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, to_right, strict=True)
        )
        return f"| {' | '.join(cells)} |"

    return "\n".join(layout(row) for row in table)


def _escape(cell: object) -> str:
    """Return the cell as text that does not break the table."""
    return str(cell).replace("|", "\\|").replace("\n", " ")
