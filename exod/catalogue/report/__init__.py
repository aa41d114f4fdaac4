"""The statistics report: counts, sentences and tables of an archive, as one HTML page.

`statistics`, `survey`, `highestframes`, `counterparts`, `objecttypes`, `comparisons` and
`consistency` count; the room `sections` says it in words; `page` makes HTML of it. Pictures come
from `exod.plots.statistics`, files from `exod.stages.report.page`.
"""
