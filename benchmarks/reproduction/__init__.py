"""The experiments of the SenC paper and of its neighbours, tried again: see `benchmarks.reproduce`."""
