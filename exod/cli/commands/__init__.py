"""The commands, a module for each subject; each is a thin function."""
