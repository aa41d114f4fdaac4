"""What chance makes and what a burst needs: an expectation in, false alarms and counts out.

What exposures say of any place is in `exod.sensitivity.depth`.
"""
