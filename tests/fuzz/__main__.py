"""The command line of the fuzzer."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from fuzz.bases import Base, real_bases, simulated_bases
from fuzz.campaign import OUTCOMES, Examiner, Limits, Tally, run, save

ROOT = Path(__file__).resolve().parents[2]
_PROGRESS_SECONDS = 10.0


def main(arguments: list[str] | None = None) -> int:
    """Run a campaign; 1 if a mutant failed."""
    given = _parser().parse_args(arguments)
    bases = simulated_bases()
    if given.real:
        bases += real_bases(given.real)
    numbers = given.only or range(given.first, given.first + given.mutants)
    limits = Limits(given.seconds, given.memory)
    tally, began, shown = Tally(), time.monotonic(), 0.0
    for verdict in run(Examiner(bases, given.seed), numbers, given.workers, limits):
        tally.add(verdict)
        if tally.failures and verdict is tally.failures[-1]:
            command = _command(given, verdict.number)
            place = save(given.failures, bases, given.seed, verdict, command)
            print(f"{verdict.outcome}: {verdict.detail}\n  {place}\n  {command}", flush=True)
        elif given.only or given.verbose:
            print(f"{verdict.number} {verdict.outcome}: {verdict.detail}", flush=True)
        if time.monotonic() - shown > _PROGRESS_SECONDS:
            shown = time.monotonic()
            print(_progress(tally, len(numbers), shown - began), file=sys.stderr, flush=True)
    print(summary(tally, bases, given.seed))
    return 1 if tally.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the damage")
    parser.add_argument("--mutants", type=int, default=2000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of single mutants")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--seconds", type=float, default=60.0, help="time limit of a mutant")
    parser.add_argument("--memory", type=float, default=1024.0, help="memory limit of one in MB")
    parser.add_argument("--real", type=Path, help="folder with real observations in xmm/<obsid>")
    parser.add_argument("--failures", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--verbose", action="store_true", help="print every mutant")
    return parser


def _command(given: argparse.Namespace, number: int) -> str:
    real = f" --real {given.real}" if given.real else ""
    return f'make fuzz ARGS="--seed {given.seed} --only {number}{real}"'


def _progress(tally: Tally, n: int, seconds: float) -> str:
    done = tally.outcomes.total()
    rate = done / max(seconds, 1e-3)
    return f"{done:,} of {n:,} mutants, {rate:.1f}/s, {len(tally.failures)} failures"


def summary(tally: Tally, bases: list[Base], seed: int) -> str:
    """The counts by outcome and by damage."""
    done = tally.outcomes.total()
    lines = [f"{done:,} mutants of {len(bases)} observations, seed {seed}:"]
    lines += [f"  {outcome:<26}{tally.outcomes[outcome]:>8,}" for outcome in OUTCOMES]
    lines += [
        f"  {done / max(tally.seconds, 1e-3):.1f} mutants a second of processor time; the slowest "
        f"took {tally.slowest.seconds if tally.slowest else 0:.1f} s",
        f"  peak memory at most {tally.largest_share:.2f} of what was predicted",
        "",
        f"  {'damage':<26}" + "".join(f"{name.split()[-1][:10]:>11}" for name in OUTCOMES),
    ]
    lines += [
        f"  {kind:<26}" + "".join(f"{counts[name] or '':>11}" for name in OUTCOMES)
        for kind, counts in sorted(tally.by_kind.items())
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
