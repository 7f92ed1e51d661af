//! What the benchmarks share: timing and the table that they print.
