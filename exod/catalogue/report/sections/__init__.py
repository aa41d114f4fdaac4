"""The sections of the report: numbers as sentences and tables, with the pictures given.

`contents` has them in order; the others write them.
"""
