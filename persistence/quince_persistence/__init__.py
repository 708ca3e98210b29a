"""The store: what is true about every process."""
