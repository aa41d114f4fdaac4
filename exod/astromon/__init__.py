"""Astrometry of Chandra: functions and tables of `astromon`, without its observatory's software.

Names, arguments, defaults and columns are those of astromon; docs/differences_astromon.md says what
is done otherwise, and why.
"""
