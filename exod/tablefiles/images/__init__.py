"""Images as files: FITS with their coordinates, and regions for DS9."""

from exod.tablefiles.images.ds9 import SkyMark, region_text
from exod.tablefiles.images.imagefiles import write_images

__all__ = ["SkyMark", "region_text", "write_images"]
