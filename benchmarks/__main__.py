"""Run every benchmark and write benchmarks/results.md."""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path

from benchmarks import data_folder, measure
from exod import __version__
from exod.stages.inputs.simulate import simulate_files

HERE = Path(__file__).parent


def main() -> None:
    """Measure and report."""
    data = data_folder()
    real = data / "xmm" / "0001730201"
    sections = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate_files(folder / "long", "0900000901", 5, duration=130_000.0, n_sources=30)
        long = folder / "long"
        if not real.is_dir():
            simulate_files(folder / "short", "0900000801", 5, duration=17_000.0)
            real = folder / "short"
        sections[f"The search of {real.name}"] = measure.whole_search(real)
        sections[f"Preset deep: {real.name}"] = measure.presets(real)
        sections["Preset deep: simulated 130 ks pn + MOS"] = measure.presets(long)
        sections[f"Memory: {real.name}"] = measure.peak_memory(real)
        for what, settings in (("5 s bins", ["cube.t_bin=[5]"]), ("1 s bins", ["cube.t_bin=[1]"])):
            title = f"Memory: simulated 130 ks pn + MOS, {what}"
            sections[title] = measure.peak_memory(long, settings)
        title = "Memory: simulated 130 ks pn + MOS, preset deep"
        sections[title] = measure.peak_memory(long, preset="deep")
        sections["Cost of an event"] = measure.scaling(folder / "scaling")
        sections[f"Sparse and dense search of {real.name}"] = measure.sparse_and_dense(real)
    lines = [
        "# Benchmark results",
        "",
        f"exod {__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"medians of {measure.REPEATS}. Made by `make bench`; compare ratios, not seconds.",
    ]
    for title, rows in sections.items():
        lines += ["", f"## {title}", "", "| what | value |", "|---|---|"]
        lines += [
            f"| {what} | {value:,.4g} |" if value < 1000 else f"| {what} | {value:,.0f} |"
            for what, value in rows
        ]
    text = "\n".join(lines) + "\n"
    (HERE / "results.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
