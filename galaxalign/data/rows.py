"""Rows of a manifest, as many at a time as are wanted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq


def count_galaxies(manifest: Path) -> int:
    """Number of rows of a manifest; nothing but its foot is read."""
    return int(pq.read_metadata(manifest).num_rows)


def shard_names(manifest: Path, shard_size: int) -> list[str]:
    """Names of the shards that a manifest needs; none where its galaxies fit into one file.

    Only the number of rows is read.
    """
    count = count_galaxies(manifest)
    return [f"{index:05d}" for index in range(-(-count // shard_size))] if count > shard_size else []


def read_galaxies(
    manifest: Path, first: int = 0, last: int | None = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Rows [first, last) of a manifest; of the file only the part is read that they are in.

    Parameters
    ----------
    manifest
        As `manifest.write_manifest` wrote it.
    first, last
        Rows; all by default.  There may be fewer.
    columns
        Names; all by default.
    """
    with pq.ParquetFile(manifest) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        starts = np.cumsum([0, *sizes])
        end = int(starts[-1]) if last is None else min(last, int(starts[-1]))
        groups = [group for group in range(len(sizes)) if starts[group] < end and starts[group + 1] > first]
        table = file.read_row_groups(groups, columns=columns, use_threads=False)
    before = int(starts[groups[0]]) if groups else 0
    galaxies: pd.DataFrame = table.slice(first - before, max(0, end - first)).to_pandas()
    return galaxies
