"""Run one task for each observation, here or on a cluster: the only importer of `distributed`.

A few tasks for each worker are in flight at a time, paths go in and small summaries come out.
"""

from exod.scheduler.cluster import default_workers, machine_memory, memory_limit
from exod.scheduler.tasks import Done, run

__all__ = ["Done", "default_workers", "machine_memory", "memory_limit", "run"]
