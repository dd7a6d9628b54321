"""The demo: one command from a fresh machine to a dissected model that experts can label."""
