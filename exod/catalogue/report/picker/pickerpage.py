"""Positions on the detector as a page that needs no other file, on which boxes are drawn."""

from __future__ import annotations

from collections.abc import Hashable
from importlib.resources import files
from typing import Any, Final

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

SCRIPT: Final = "picker.js"
"""The script of the page, beside this module."""

EDGES: Final = ("x_lo", "x_hi", "y_lo", "y_hi")


def picker_page(
    title: str,
    regions: pd.DataFrame,
    found: pd.DataFrame,
    boxes: pd.DataFrame,
    file_name: str,
) -> str:
    """The page.

    Parameters
    ----------
    title : str
        Where the regions are from.
    regions : DataFrame
        Rows of the table detector: t_bin, X_det, Y_det; those without position are left out.
    found, boxes : DataFrame
        Hot regions that the catalogue shows, and those to begin with: t_bin (NaN for all) and
        the edges x_lo, x_hi, y_lo, y_hi.
    file_name : str
        Name of the file that the page saves.

    Returns
    -------
    str
        HTML with script, style and data inside. Every text is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("exod.catalogue.report.picker", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    script = (files("exod.catalogue.report.picker") / SCRIPT).read_text(encoding="utf-8")
    return environment.get_template("picker.html.jinja").render(
        title=title,
        script=Markup(script),  # noqa: S704 - our own file
        data=picker_data(regions, found, boxes, file_name),
    )


def picker_data(
    regions: pd.DataFrame, found: pd.DataFrame, boxes: pd.DataFrame, file_name: str
) -> dict[str, Any]:
    """What the page has embedded, for JSON; parameters are those of `picker_page`.

    Returns
    -------
    dict
        ``file``; ``t_bins``, the time bins in order; ``x``, ``y`` of regions in whole units of
        0.05 arcsec and ``bin``, the index of their time bins; ``found`` and ``boxes``.

    Examples
    --------
    >>> rows = pd.DataFrame({"t_bin": [50.0, 5.0], "X_det": [10.4, -3.0], "Y_det": [1.0, 2.0]})
    >>> none = pd.DataFrame(columns=["t_bin", *EDGES], dtype=float)
    >>> picker_data(rows, none, none, "hot.csv")["bin"]
    [1, 0]
    """
    known = regions[np.isfinite(regions["X_det"]) & np.isfinite(regions["Y_det"])]
    t_bins, number = np.unique(known["t_bin"].to_numpy(float), return_inverse=True)
    return {
        "file": file_name,
        "t_bins": t_bins.tolist(),
        "x": _whole(known["X_det"]),
        "y": _whole(known["Y_det"]),
        "bin": number.tolist(),
        "found": _boxes(found),
        "boxes": _boxes(boxes),
    }


def _whole(values: pd.Series) -> list[int]:
    return np.rint(values.to_numpy(float)).astype(int).tolist()


def _boxes(boxes: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """Boxes with null for a time bin that is not given, since JSON has no NaN."""
    columns = ["t_bin", *EDGES]
    rows = boxes[columns].astype(object).where(boxes[columns].notna(), None)
    return rows.to_dict("records")
