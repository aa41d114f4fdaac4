"""Pictures of the light curves of a place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exod.plots.drawing import DEFAULT, Drawing, save_figures
from exod.plots.lightcurves import place_light_curve
from exod.plots.places.sheets import Panel, curve_sheets
from exod.plots.style import position_text, run_text
from exod.sources.naming import iau_names
from exod.stages.places.curves import PlaceCurve, SkyPlace


def draw_curves(
    curves: Sequence[PlaceCurve], place: SkyPlace, folder: Path, drawing: Drawing = DEFAULT
) -> list[Path]:
    """Draw light curves of a place: one as that of a region, several on sheets.

    Parameters
    ----------
    curves : sequence of PlaceCurve
        At least one.
    place : SkyPlace
        Where they are of.
    folder : Path
        Where the pictures go.
    drawing : Drawing
        Format, size and style.

    Returns
    -------
    list of Path
        The pictures.
    """
    where = f"{position_text(place.ra_deg, place.dec_deg)} ({place.text}°)".replace("-", "−")
    name = iau_names([place.ra_deg], [place.dec_deg], acronym="at")[0].replace(" ", "_")
    if len(curves) == 1:
        (only,) = curves
        title = f"{only.runid} · {run_text(only.run)}\n{where}, {only.taken}"
        with drawing.applied():
            figure = place_light_curve(only.run, only.rows, title)
        return save_figures([(f"{only.runid}_{name}_lightcurve", figure)], folder, drawing)
    kinds = {item.taken for item in curves}
    shared = f", {curves[0].taken}" if len(kinds) == 1 else ""
    notes = ("" if shared else item.taken for item in curves)
    panels = [Panel(item.run, item.rows, note) for item, note in zip(curves, notes, strict=True)]
    sheets = curve_sheets(panels, f"{where}{shared}")
    stem = curves[0].obsid if len({item.obsid for item in curves}) == 1 else "all"
    named = (
        (f"{stem}_{name}_lightcurves" + (f"_{number}" if number > 1 else ""), figure)
        for number, figure in enumerate(sheets, start=1)
    )
    return save_figures(named, folder, drawing)
