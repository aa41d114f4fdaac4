"""The catalogue: detections and unique sources as FITS, Parquet and HATS, with a description.

`exod.catalogue.columns` declares its tables, `exod.catalogue.rows` puts their rows together,
`exod.tablefiles` and `exod.catalogue.hats` write them,
`exod.catalogue.readme` describes them and `exod.catalogue.checks` looks at what was written.
The statistics page of an archive is the room `report`.
"""
