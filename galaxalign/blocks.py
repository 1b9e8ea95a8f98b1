"""Many rows, a block at a time."""

from collections.abc import Iterator

# Of 1,280 numbers in double precision: 84 MB.
ROWS = 8192


def blocks(count: int) -> Iterator[slice]:
    """Slices of `ROWS` rows that cover `count`, the last one with those that are left over, too few for a block.

    Linear algebra may add in another order where rows are few; whether a data set is one block or many, its last rows
    come out the same.

    >>> [(rows.start, rows.stop) for rows in blocks(20_000)]
    [(0, 8192), (8192, 20000)]
    """
    whole = max(1, count // ROWS)
    for index in range(whole):
        yield slice(index * ROWS, count if index == whole - 1 else (index + 1) * ROWS)
