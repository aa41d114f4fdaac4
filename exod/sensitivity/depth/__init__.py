"""Limits: what exposures know of every place, and what they say of a source there.

`depthmaps.exposure_depth` makes what an exposure knows of every place; `placelimits.place_sums`,
`combined` and `limit_columns` give counts, background, rate, flux and limits of many places at any
time; `upperlimits.counts_interval` those of any counts. `Archive.limits` asks all observations of
an archive with the product depth, which `exod depth` makes.
"""
