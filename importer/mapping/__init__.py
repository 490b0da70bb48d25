"""From chunks of cells to validated requests, column by column; a row that cannot be sent gets all its issues at once.

`requests` assembles rows out of `columns`, which read cells with `cells`, `refs`, `dates`, `lists`, `json_cells` and
`json_paths`, and open encrypted ones with `decrypt` and `ciphers`; `schemes` decides which credential a row carries,
`leaks` and `ciphertext` refuse what stands where it should not; `canonical` is the mapping of a file that needs none.
"""

from importer.mapping.requests import MappedRow, Mapper

__all__ = ["MappedRow", "Mapper"]
