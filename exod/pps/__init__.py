"""XMM-Newton pipeline products (PPS): finding the files of an observation and reading them.

The only package that knows how event lists and source lists look as files (method.md, Input files).
"""

from exod.pps.find import ObservationFiles, find_observations, local_copies
from exod.pps.lists import (
    list_extent,
    read_event_list,
    read_listed_sources,
    read_source_list,
)
from exod.pps.names import SUFFIXES
from exod.pps.remote import RemoteFile

__all__ = [
    "SUFFIXES",
    "ObservationFiles",
    "RemoteFile",
    "find_observations",
    "list_extent",
    "local_copies",
    "read_event_list",
    "read_listed_sources",
    "read_source_list",
]
