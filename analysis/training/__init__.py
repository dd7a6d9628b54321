"""Training of the demo classifier on phantom mammograms."""
