"""The page on which hot regions of the detector are drawn: points and boxes in, HTML out."""
