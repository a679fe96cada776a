"""What the benchmarks share: models of random weights, stages of a stream, clocks and counters."""
