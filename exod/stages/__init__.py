"""The stages, in the order of the data flow; each reads, maps and commits.

* download: obsids -> event lists and source lists of public archives
* simulate: settings -> event lists and source lists, as the pipeline would write them
* memory: simulated events -> merged events and sources, without files
* inject: event lists, sources -> the same event lists with the photons of the sources
* ingest: event lists, source list -> the same as Parquet, for reading again and again
* predict: headers of event lists -> time and memory of the search
* read: event lists, source list -> merged events of each subset, hot pixels removed
* detect: merged events -> cube -> expectation -> cells -> regions -> committed tables
* survey: many observations -> detect, each a task on a cluster; resumed and retried
* plot: committed tables -> pictures
* images: one run, as committed or searched again -> images as FITS, regions for DS9, videos
* cube: merged events -> dense counts and expectation of one run, as Zarr
* completeness: simulated bursts -> which are found, of which counts and durations
* cluster: regions of all observations -> unique sources with lasting numbers and names
* features: committed light curves and images -> numbers that describe each region
* flags: features, rates, excluded observations -> quality flags, hot detector regions
* derive: an archive -> cluster, features and flags, those that are behind
* crossmatch: unique sources -> their counterparts in catalogues, with the probability of chance
* filters: regions, features, flags, counterparts -> those that filters keep; recovery of runs
* query: products and tables -> the rows that a question asks for, as files
* count: all tables of an archive -> the numbers of the statistics report
* report: numbers -> sentences, tables and pictures on one HTML page
* verify: every file that an archive names -> which are not what was written, and what to do
* catalogue: products of an archive -> a release: FITS, Parquet, HATS and what it means
* demo: all of it on simulated observations, and what was found of what was put in
"""
