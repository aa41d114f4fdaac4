// The axis of time of an observation: its searched light curves and photons count from one moment.

import { rowsWhere } from "./data.js";

const DAY = 86400;

/**
 * The moment from which times of an observation are counted: `zero` in mission seconds, what it is
 * called on axes, and `mjd(seconds)` of a time on them (null where it is not known).
 *
 * It is the start of the first searched run; 0 of mission time where no run is known.
 */
export async function clockOf(obsid) {
  const runs = (await rowsWhere("runs.parquet", "obsid", obsid, ["obsid", "t_lo", "t_lo_mjd"])).filter((run) => Number.isFinite(run.t_lo));
  const first = runs.reduce((best, run) => (!best || run.t_lo < best.t_lo ? run : best), null);
  const start = first?.t_lo_mjd ?? null;
  return {
    zero: first ? first.t_lo : 0,
    label: start === null ? `seconds from ${first ? "the start of the search" : "the start of mission time"}` : `seconds from MJD ${start.toFixed(6)} (TT)`,
    mjd: (seconds) => (start === null ? null : start + seconds / DAY),
  };
}

/** The clocks of the observations of some rows, by observation. */
export async function clocksOf(rows) {
  const obsids = [...new Set(rows.map(({ obsid }) => obsid))];
  return new Map(await Promise.all(obsids.map(async (obsid) => [obsid, await clockOf(obsid)])));
}
