"""How good the diff is, against edits that are planted and therefore known. ``python -m benchmarks.diff_quality``."""
