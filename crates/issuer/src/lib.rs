//! The way of a request without I/O: decide, mint, record, release; keys and revocations as state machines
