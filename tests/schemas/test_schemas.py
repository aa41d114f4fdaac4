"""The declared tables: complete, consistent, and the same after a trip through Parquet."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.io.votable.ucd import check_ucd

from exod.schemas import BTI, CELLS, DERIVED, EXPOSURES, FORMAT_VERSION, REGIONS, TABLES, Table
from exod.schemas.columns import UCDS, Column

PROMISED = {
    "runs": "runid obsid subset t_bin e_lo e_hi n_frames y_lo y_hi x_lo x_hi n_sum mu_sum n_bti "
    "n_gti n_bccd n_peak_cells n_eclipse_cells n_regions seconds peak_memory_mb",
    "cells": "runid obsid kind frame y x TIME_lo Y_lo X_lo n mu B_log p_log label",
    "regions": "detid runid obsid subset t_bin e_lo e_hi label ra_deg dec_deg pos_err_arcsec X Y "
    "y_lo y_hi x_lo x_hi intensity_mean area_bbox n_peak_cells n_eclipse_cells",
    "lightcurves": "detid runid label time n mu live bti bccd B_peak_log B_eclipse_log",
    "bti": "runid START STOP",
}
CELL = {
    "runid": "0001730201_0_50_0.2_12.0",
    "obsid": "0001730201",
    "kind": "peak",
    "frame": 3,
    "y": 60,
    "x": 61,
    "TIME_lo": 1.5e8,
    "Y_lo": 24000.0,
    "X_lo": 24400.0,
    "n": 9,
    "mu": 0.25,
    "B_log": 8.5,
    "p_log": -7.5,
    "label": 0,
}

every_table = pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)


@every_table
def test_a_table_is_declared_completely(table: Table) -> None:
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert set(table.sort_by) <= set(names)
    assert "obsid" in names
    assert table.description
    assert all(column.description for column in table.columns)


@every_table
def test_units_are_ones_that_fits_readers_know(table: Table) -> None:
    for column in table.columns:
        units.Unit(column.unit, format="fits")


ALL = [*TABLES.values(), *(table for product in DERIVED.values() for table in product)]


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_ucds_are_of_the_controlled_vocabulary(table: Table) -> None:
    for column in table.columns:
        assert check_ucd(column.ucd, check_controlled_vocabulary=True), column
    for main in ("meta.id", "pos.eq.ra", "pos.eq.dec", "stat.error"):
        marked = [c for c in table.columns if c.ucd.startswith(main) and "meta.main" in c.ucd]
        assert len(marked) <= 1, main


@pytest.mark.parametrize("unit", [*UCDS, ""])
@pytest.mark.parametrize("kind", [pa.string(), pa.bool_(), pa.int16(), pa.float32()], ids=str)
def test_units_and_types_give_ucds(unit: str, kind: pa.DataType) -> None:
    assert check_ucd(Column("x", kind, unit, "").ucd, check_controlled_vocabulary=True)


@pytest.mark.parametrize("name", PROMISED)
def test_promised_columns_are_there(name: str) -> None:
    assert set(PROMISED[name].split()) <= {column.name for column in TABLES[name].columns}


@every_table
def test_an_empty_frame_has_the_declared_dtypes(table: Table) -> None:
    frame = table.frame()
    assert list(frame.columns) == [column.name for column in table.columns]
    assert frame.empty
    for column in table.columns:
        if column.type == pa.string():
            assert frame[column.name].dtype == pd.StringDtype("pyarrow", na_value=np.nan)
        else:
            assert frame[column.name].dtype == column.type.to_pandas_dtype()


@every_table
def test_units_and_meanings_survive_parquet(table: Table) -> None:
    file = io.BytesIO()
    pq.write_table(table.schema.empty_table(), file)
    schema = pq.read_schema(file)
    assert schema.equals(table.schema)
    assert schema.metadata[b"exod_format"] == str(FORMAT_VERSION).encode()
    for column in table.columns:
        metadata = schema.field(column.name).metadata
        assert metadata[b"unit"].decode() == column.unit
        assert metadata[b"description"].decode() == column.description
        assert metadata[b"ucd"].decode() == column.ucd
        # What stands for no value is known to the schema alone.
        assert Column.of_field(schema.field(column.name)) == replace(column, none=None)


def test_rows_become_a_frame_in_the_declared_order() -> None:
    frame = CELLS.frame([dict(reversed(CELL.items()))])
    assert list(frame.columns) == list(CELL)
    assert frame.iloc[0].to_dict() == CELL
    assert frame["y"].dtype == np.int16


@pytest.mark.parametrize("change", [{"colour": "red"}, {"mu": None}], ids=["extra", "missing"])
def test_other_columns_are_refused(change: dict[str, str | None]) -> None:
    row = {key: value for key, value in {**CELL, **change}.items() if value is not None}
    with pytest.raises(KeyError, match=next(iter(change))):
        CELLS.frame([row])


@pytest.mark.parametrize(("column", "value"), [("y", 70000), ("n", 2.7), ("frame", 2**40)])
def test_whole_numbers_do_not_wrap_round(column: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"cells: {column} has values beyond"):
        CELLS.frame([{**CELL, column: value}])


def test_frames_of_frames_do_not_change() -> None:
    frame = CELLS.frame([CELL])
    pd.testing.assert_frame_equal(CELLS.frame(frame), frame)


def test_text_stays_text() -> None:
    row = {"runid": "0000000001_0_5_2.0_12.0", "obsid": "0000000001", "START": 0, "STOP": 1}
    assert BTI.frame([row])["obsid"].tolist() == ["0000000001"]
    assert EXPOSURES.frame()["used"].dtype == bool
    assert REGIONS.sort_by == ("runid", "label")
