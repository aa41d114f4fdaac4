"""Questions to an archive: what may be asked, and which rows fulfil a condition."""

from exod.schemas.conditions.expressions import Expression, parse
from exod.schemas.conditions.grammar import Kind, unknown
from exod.schemas.conditions.query import Cone, Query

__all__ = ["Cone", "Expression", "Kind", "Query", "parse", "unknown"]
