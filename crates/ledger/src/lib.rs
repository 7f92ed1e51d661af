//! The ledger on Redis and on an embedded store
