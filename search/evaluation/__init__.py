"""How accurate a plan is."""
