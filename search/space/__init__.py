"""The space of plans, and what is known of it before any trial."""
