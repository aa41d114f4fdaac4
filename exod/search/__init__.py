"""The search of one subset: merged events in, runs with regions and light curves out."""
