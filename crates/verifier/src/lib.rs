//! Checks dayfly credentials offline, revocation included
