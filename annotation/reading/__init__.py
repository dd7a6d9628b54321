"""Reading lists: which units are read, by whom, in which order, and how far that has come."""
