"""What a cell is compared with: the protocol of a null hypothesis, and the two that there are."""
