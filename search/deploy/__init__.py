"""From a plan to a trained, exported, measured network."""
