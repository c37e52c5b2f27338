"""Tables whose rows are samples: CSV, Parquet and folders of the `datasets` library."""

from intertwine.tables.columns import Columns

__all__ = ["Columns"]
