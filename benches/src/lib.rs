//! Benchmarks of dayfly beside the bare primitives and its peers
