"""Questions to the tables of an archive: rows of detections, SQL, places on the sky."""
