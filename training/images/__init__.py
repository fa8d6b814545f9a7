"""Pictures in whatever form: found in folders and datasets, made into bytes, changed at random."""
