"""Questions to an archive: what may be asked, and which rows fulfil a condition."""

from exod.queries.expressions import Expression, parse
from exod.queries.grammar import Kind, unknown
from exod.queries.query import Cone, Query

__all__ = ["Cone", "Expression", "Kind", "Query", "parse", "unknown"]
