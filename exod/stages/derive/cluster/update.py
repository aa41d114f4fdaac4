"""Update: what has changed since the earlier version, and a new version that takes it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive import Archive
from exod.archive.derived import DerivedFile
from exod.archive.increments import Changes, NewVersion, compute_all, write_part
from exod.archive.parquet import read_file, to_pandas
from exod.archive.store import Store
from exod.scheduler.plan import Plan
from exod.schemas.derived import LINEAGE, MEMBERS, PLACES, UNIQUE
from exod.sky.healpix import (
    WHOLE_SKY,
    Partition,
    Pixels,
    is_among,
    located,
    order_for,
    overlapping,
    refined,
    sky_pixels,
    with_margin,
    with_neighbours,
)
from exod.sources.assembly import Sky
from exod.sources.identities import REACH
from exod.sources.lineage import CHANGES
from exod.stages.derive.cluster.adopted import Adopted
from exod.stages.derive.cluster.gather import Gathered, batches, gather
from exod.stages.derive.cluster.partition import Draft, Numbered, Work, compute, number

PUBLISHED: Final = "published"
KEPT: Final = "kept"
"""The rule of METHOD, and names that stay whatever is added, among the parameters."""

FINEST_ORDER: Final = 8
"""Order of the pixels of 14 arcmin that make margins, half a field of view."""

NAME_ARCSEC: Final = 20.0
"""More than the cell of the sky that a name stands for."""

SMALL: Final = 100_000
"""Regions that are not worth other processes."""

SMALL_OBSERVATIONS: Final = 50


@dataclass(frozen=True)
class Update:
    """What is to be done for a new version.

    Attributes
    ----------
    store : Store
        The archive.
    plan : Plan
        How tasks run.
    changes : Changes
        What has changed. Of an earlier version that does not count otherwise, it still does which
        source is which.
    parameters : dict
        What the version is made with.
    adopted : Adopted, optional
        Sources of another catalogue whose names are taken over, and their numbers if there is no
        earlier version.
    positions : tuple of DerivedFile, optional
        Files of the table positions, if corrected positions are clustered.
    """

    store: Store
    plan: Plan
    changes: Changes
    parameters: dict[str, Any]
    adopted: Adopted | None = None
    positions: tuple[DerivedFile, ...] | None = None

    @classmethod
    def of(
        cls,
        archive: Archive,
        asked: dict[str, Any],
        plan: Plan,
        adopted: Adopted | None = None,
        positions: tuple[DerivedFile, ...] | None = None,
    ) -> Update:
        """Compare the earlier version with the ledger and with what is asked for."""
        earlier = archive.derived("unique")
        changes = Changes.since(earlier, archive.entries(), asked, force=adopted is not None)
        had = earlier.parameters if earlier else {}
        before = had.get("radius_arcsec", 0.0)
        reach = REACH[str(had.get("rule", PUBLISHED))] * (
            float(before) if isinstance(before, float) else 0.0
        )
        widest = max(REACH[asked["rule"]] * asked["radius_arcsec"], reach)
        order = order_for(widest + NAME_ARCSEC, FINEST_ORDER)
        parameters = {**asked, "order": order} if changes.anew else dict(had)
        if adopted is not None and earlier is not None:
            # Numbers stay within an archive.
            adopted = adopted.names_only
        return cls(archive.store, plan, changes, parameters, adopted, positions)

    @property
    def order(self) -> int:
        """Order of the pixels that make margins."""
        return int(self.parameters["order"])

    @cached_property
    def before(self) -> list[Partition]:
        """Partitions of the earlier version, in order of the sky; they cover it."""
        names = self.changes.earlier.parameters["partitions"] if self.changes.earlier else None
        return [Partition.parse(str(n)) for n in names] if isinstance(names, list) else [*WHOLE_SKY]

    def run(self, new: NewVersion, rows_per_partition: int) -> None:
        """Gather, divide the sky, find the sources of each partition, number them."""
        gathered = self._gather(new)
        kept, left = self._earlier_places()
        added = [item.places for item in gathered]
        places = pd.concat([kept, *added], ignore_index=True)
        start = [*WHOLE_SKY] if self.changes.anew else self.before
        rows = places.groupby("healpix")["n_regions"].sum()
        partitions = refined(
            start, rows.index.to_numpy(np.int64), rows.to_numpy(), self.order, rows_per_partition
        )
        touched = self._touched(pd.concat([left, *added], ignore_index=True), start, partitions)
        touched = sorted(
            {*touched, *located(partitions, self._adopted_pixels, self.order).tolist()}
        )
        works = [self._work(partitions[i], gathered, places) for i in touched]
        at = located(partitions, rows.index.to_numpy(np.int64), self.order)
        drafts = self._compute(new, works, int(rows[np.isin(at, touched)].sum()))
        files = self._number(new, drafts)
        self._finish(new, partitions, [*self._kept(partitions, works), *files], drafts, places)
        self.store.remove([file.path for draft in drafts for file in draft.drafts])
        scratch = (file for item in gathered for file in (item.regions, item.footprints))
        self.store.remove([file.path for file in scratch if file])

    @cached_property
    def _redone(self) -> frozenset[str]:
        """Observations of the earlier version that are otherwise now, or gone."""
        earlier = self.changes.earlier
        return self.changes.obsids & earlier.attempts.keys() if earlier else frozenset()

    @cached_property
    def _adopted_pixels(self) -> Pixels:
        """Where the sources of another catalogue are."""
        if self.adopted is None or not len(self.adopted.rows):
            return np.empty(0, np.int64)
        rows = self.adopted.rows
        return sky_pixels(rows["ra_deg"], rows["dec_deg"], self.order)

    @property
    def _names_alike(self) -> bool:
        """Whether sources are made anew for another reason than their names."""
        had = self.changes.earlier.parameters if self.changes.earlier else {}
        return self.changes.anew and had.get("names", KEPT) == self.parameters["names"]

    def _gather(self, new: NewVersion) -> list[Gathered]:
        todo = list(batches(self.changes.todo))
        regions = sum(entry.rows("regions") for batch in todo for entry in batch.entries)
        observations = sum(len(batch.entries) for batch in todo)
        small = regions <= SMALL and observations <= SMALL_OBSERVATIONS
        task = partial(
            gather,
            store=self.store,
            folder=new.folder,
            order=self.order,
            positions=self.positions,
        )
        plan = self._plan(small=small)
        return compute_all(task, todo, plan, lambda batch: f"gather-{batch.name}")

    def _earlier_places(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Places of the observations that have not changed, and of those that have."""
        empty = PLACES.frame()
        if self.changes.earlier is None or self.changes.anew:
            return empty, empty
        rows = [
            read_file(self.store, file.stored, PLACES)
            for file in self.changes.earlier.of(PLACES.name)
        ]
        frame = to_pandas(pa.concat_tables(rows))
        changed = frame["obsid"].isin(self.changes.obsids)
        return frame[~changed], frame[changed]

    def _touched(
        self, changed: pd.DataFrame, start: Sequence[Partition], partitions: Sequence[Partition]
    ) -> list[int]:
        """Indices of the partitions to compute: with changed places, or divided just now."""
        pixels = changed["healpix"].to_numpy(np.int64)
        # Regions make a difference in their margin too.
        regions = pixels[changed["n_regions"].to_numpy() > 0]
        pixels = np.union1d(with_neighbours(regions, self.order), pixels)
        touched = set(np.unique(located(partitions, pixels, self.order)).tolist())
        known = set(start)
        if self.changes.anew and self.changes.earlier is not None:
            known = set()
        divided = {i for i, partition in enumerate(partitions) if partition not in known}
        return sorted(touched | divided)

    def _work(
        self, partition: Partition, gathered: Sequence[Gathered], places: pd.DataFrame
    ) -> Work:
        cover = with_margin(partition, self.order)
        first, last = partition.span(self.order)
        inside = places["healpix"].between(first, last - 1)
        covering = places.loc[inside & places["covered"], "obsid"].unique()
        near = {self.before[i].name for i in overlapping(self.before, cover, self.order)}
        regions, footprints = [], []
        for item in gathered:
            pixels = item.places["healpix"].to_numpy(np.int64)
            has = item.places["n_regions"].to_numpy() > 0
            if item.regions and is_among(pixels[has], cover).any():
                regions.append(item.regions)
            if item.footprints and ((pixels >= first) & (pixels < last)).any():
                footprints.append(item.footprints)
        return Work(
            partition,
            self.order,
            tuple(regions),
            tuple(footprints),
            tuple(file for file in self._earlier_files if file.part in near),
            tuple(covering),
            None if self.changes.anew else self.changes.obsids,
            self._redone,
            self.adopted.rows[is_among(self._adopted_pixels, cover)].reset_index(drop=True)
            if self.adopted
            else None,
        )

    @property
    def _earlier_files(self) -> tuple[DerivedFile, ...]:
        return self.changes.earlier.files if self.changes.earlier else ()

    def _kept(self, partitions: Sequence[Partition], works: Sequence[Work]) -> list[DerivedFile]:
        """Files of the earlier version whose partitions stay as they are."""
        if self.changes.anew:
            return []
        stay = {partition.name for partition in partitions}
        stay -= {work.partition.name for work in works}
        return [file for file in self._earlier_files if file.part in stay]

    def _compute(self, new: NewVersion, works: Sequence[Work], n_regions: int) -> list[Draft]:
        sky = Sky(
            radius_arcsec=self.parameters["radius_arcsec"],
            ra_decimals=self.parameters["ra_decimals"],
            dec_decimals=self.parameters["dec_decimals"],
            version=new.version,
            generation=self._summary("generation") + 1,
            rule=self.parameters["rule"],
            # With other settings no observation has come that could name a source otherwise.
            keeps_names=self.parameters["names"] == KEPT or self._names_alike,
            names_anew=self.changes.anew and not self._names_alike,
        )
        task = partial(compute, store=self.store, folder=new.folder, sky=sky)
        plan = self._plan(small=n_regions <= SMALL or len(works) == 1)
        return compute_all(task, works, plan, lambda work: f"cluster-{work.partition.name}")

    def _number(self, new: NewVersion, drafts: Sequence[Draft]) -> list[DerivedFile]:
        """Number new sources on from those that there were, in the order of the sky."""
        first = max(
            self._summary("next_region_num"), self.adopted.next_number if self.adopted else 0
        )
        numbered = []
        for draft in drafts:
            numbered.append(Numbered(draft, first))
            first += draft.n_new
        new.summary["next_region_num"] = first
        task = partial(number, store=self.store, folder=new.folder)
        rows = sum(file.rows for draft in drafts for file in draft.drafts)
        plan = self._plan(small=rows <= SMALL)
        files = compute_all(task, numbered, plan, lambda n: f"number-{n.draft.partition.name}")
        return [file for some in files for file in some]

    def _finish(
        self,
        new: NewVersion,
        partitions: Sequence[Partition],
        files: list[DerivedFile],
        drafts: Sequence[Draft],
        places: pd.DataFrame,
    ) -> None:
        """Enter what the version consists of."""
        new.files = sorted(files, key=lambda file: file.path)
        new.files.append(write_part(self.store, new.folder, PLACES, places, "all"))
        new.attempts = {entry.obsid: entry.attempt for entry in self.changes.entries}
        names = [partition.name for partition in partitions]
        had = self.changes.earlier.parameters.get("divided") if self.changes.earlier else None
        kept = had.items() if isinstance(had, dict) else ()
        divided = {name: int(str(number)) for name, number in kept if name in names}
        divided |= {draft.partition.name: draft.n_divided for draft in drafts}
        divided = {name: number for name, number in divided.items() if number}
        new.parameters = {**self.parameters, "partitions": names, "divided": divided}
        rows = {
            table.name: sum(file.rows for file in new.files if file.table == table.name)
            for table in (UNIQUE, MEMBERS, LINEAGE)
        }
        searched = sum(entry.rows("regions") for entry in self.changes.entries)
        used = {file.part for file in new.files if file.table != PLACES.name}
        computed = {draft.partition.name for draft in drafts}
        new.summary |= {
            "generation": self._summary("generation") + 1,
            "n_sources": rows[UNIQUE.name],
            "n_regions": rows[MEMBERS.name],
            "n_without_position": searched - rows[MEMBERS.name],
            **{f"n_{change}": sum(d.changes[change] for d in drafts) for change in CHANGES},
            "n_divided": sum(divided.values()),
            "n_observations_changed": len(self.changes.obsids),
            "n_partitions_computed": len(computed),
            "n_partitions_kept": len(used - computed),
        }

    def _summary(self, name: str) -> int:
        """A number of the earlier version; 0 without one."""
        value = self.changes.earlier.summary[name] if self.changes.earlier else 0
        return value if isinstance(value, int) else 0

    def _plan(self, *, small: bool) -> Plan:
        """The plan; in this process if other ones would take longer to begin."""
        here = small and self.plan.scheduler == "local"
        return replace(self.plan, scheduler="sync") if here else self.plan
