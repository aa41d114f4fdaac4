"""Tables in files: FITS, VOTable, Parquet and text, read in batches of a few columns."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from astropy.utils.exceptions import AstropyWarning

from exod.errors import InputError
from exod.files.text import decoded
from exod.tablefiles.arrowrows import ParquetRows, WholeRows
from exod.tablefiles.fitsrows import FitsRows, ascii_table, names_in
from exod.tablefiles.plain import arrow_of, plain_arrow
from exod.tablefiles.textrows import read_text_rows, table_of_lines
from exod.tablefiles.unpacking import Unpacked

ROWS: Final = 200_000
"""Rows of a batch."""

FORMATS: Final = {
    ".fits": "fits",
    ".fit": "fits",
    ".ftz": "fits",
    ".csv": "csv",
    ".tsv": "tsv",
    ".ecsv": "ascii.ecsv",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
    ".jsonl": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
"""What the ends of names mean; ``.gz`` may follow."""

_FAULTS: Final = (
    *(OSError, ValueError, KeyError, TypeError, IndexError, EOFError, zlib.error),
    *(OverflowError, AttributeError, pa.ArrowException),
)


def table_place(given: str | Path) -> tuple[Path, str]:
    """The file that ``FILE#TABLE`` names, and the table; empty if the file is named alone.

    Examples
    --------
    >>> table_place("survey.fits#SOURCES")[1], table_place("survey.fits")[1]
    ('SOURCES', '')
    """
    text = str(given)
    if "#" not in text or Path(text).exists():
        return Path(text), ""
    path, _, table = text.rpartition("#")
    return Path(path), table


class ForeignTable:
    """A table in a file.

    Parameters
    ----------
    path : path
        The file; the end of its name tells the format. Of a file with several tables one is
        named by ``FILE#NAME`` or ``FILE#NUMBER``: of FITS its extension, of VOTable its name.
    needs : sequence of sequences of str
        Of each some column must be there for a table to be taken, if several are there and none
        is named.

    Attributes
    ----------
    columns : tuple of Column
        Those with one value a row, with unit and meaning where the file has them.
    notes : tuple of str
        What the user should know: columns that are left out or called otherwise, with the reason.

    Raises
    ------
    InputError
        If the file is missing, of no known format, damaged or without a table.
    """

    def __init__(self, path: str | Path, needs: Sequence[Sequence[str]] = ()) -> None:
        self.path, self._table = table_place(path)
        ends = [end.lower() for end in self.path.suffixes if end.lower() != ".gz"]
        self.format = FORMATS.get(ends[-1] if ends else "", "")
        if not self.path.is_file():
            raise InputError(f"There is no file {self.path}.")
        if not self.format:
            raise InputError(
                f"{self.path} is of no known format; its name must end in {', '.join(FORMATS)}."
            )
        self._needs, self._told = needs, list[str]()
        self._rows: WholeRows | ParquetRows | FitsRows = self._reported(self._open)
        self.columns = self._rows.columns
        self.notes = (*self._told, *self._rows.notes)

    def batches(
        self, names: Sequence[str], rows: int = ROWS, as_text: Collection[str] = ()
    ) -> Iterator[pa.Table]:
        """Some columns of the table, in batches of rows in their order.

        Parameters
        ----------
        names : sequence of str
            The columns.
        rows : int
            Rows of a batch.
        as_text : collection of str
            Columns of which text files give the text, whatever type they seem to have.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        found = self._rows.batches(names, rows, as_text)
        while (batch := self._reported(lambda: next(found, None))) is not None:
            yield batch

    def _reported(self, work: Callable[[], Any]) -> Any:
        from astropy.io.fits import VerifyError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstropyWarning)
                return work()
        except (*_FAULTS, VerifyError) as error:
            reason = " ".join(str(error).split())[:200].rstrip(".")
            raise InputError(f"{self.path} cannot be read as {self.format} ({reason}).") from error

    def _open(self) -> WholeRows | ParquetRows | FitsRows:
        # What was unpacked is there as long as this object.
        self._content = Unpacked(self.path)
        path = self._content.path
        if self.format == "parquet":
            return ParquetRows(path)
        if self.format == "fits":
            return self._open_fits(path)
        if self.format == "votable":
            return self._open_votable(path)
        if self.format in ("csv", "tsv"):
            return read_text_rows(path, "\t" if self.format == "tsv" else "")
        if self.format == "jsonl":
            return WholeRows(*plain_arrow(table_of_lines(path)))
        from astropy.table import Table

        return WholeRows(*arrow_of(Table.read(decoded(path.read_bytes()), format=self.format)))

    def _open_fits(self, path: Path) -> WholeRows | FitsRows:
        from astropy.io import fits

        with fits.open(path, memmap=True) as hdus:
            tables = {
                number: hdu
                for number, hdu in enumerate(hdus)
                if isinstance(hdu, (fits.BinTableHDU, fits.TableHDU))
            }
            labels = {number: (hdu.name, names_in(hdu.header)) for number, hdu in tables.items()}
            hdu = tables[self._chosen(labels)]
            start = hdu.fileinfo()["datLoc"]
            if isinstance(hdu, fits.BinTableHDU):
                return FitsRows(path, start, hdu.header)
            return WholeRows(ascii_table(path, start, hdu.header))

    def _open_votable(self, path: Path) -> WholeRows:
        from astropy.io import votable

        tables = dict(enumerate(votable.parse(str(path)).iter_tables(), start=1))
        labels = {
            number: (table.name or table.ID or "", [field.name for field in table.fields])
            for number, table in tables.items()
        }
        return WholeRows(*arrow_of(tables[self._chosen(labels)].to_table(use_names_over_ids=True)))

    def _chosen(self, tables: dict[int, tuple[str, list[str]]]) -> int:
        """Number of the table that is wanted, of the names and columns of all."""
        wanted = self._table.strip().lower()
        if not tables:
            raise ValueError("it has no table")
        told = ", ".join(f"{number} {name}".strip() for number, (name, _) in tables.items())
        named = [n for n, (name, _) in tables.items() if wanted in (str(n), name.lower())]
        if wanted:
            if not named:
                raise ValueError(f"it has no table {self._table}; there are {told}")
            return named[0]
        fitting = [n for n, (_, columns) in tables.items() if _has_all(columns, self._needs)]
        number = fitting[0] if fitting else next(iter(tables))
        if len(tables) > 1:
            name = self.path.name
            self._told.append(
                f"Of the tables of {name} ({told}) {number} is read; another is named by "
                f"{name}#NUMBER."
            )
        return number


def _has_all(columns: Sequence[str], needs: Sequence[Sequence[str]]) -> bool:
    there = {name.strip().lower() for name in columns}
    return all(there & {name.lower() for name in some} for some in needs)
