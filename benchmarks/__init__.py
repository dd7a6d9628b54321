"""Commands that print what the engine costs, as ratios measured side by side in one run."""
