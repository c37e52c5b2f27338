"""Tables whose rows are samples: CSV, Parquet and folders of the `datasets` library."""

from intertwine.inputs.tables.columns import Columns

__all__ = ["Columns"]
