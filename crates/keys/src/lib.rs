//! Signing and verifying keys, JWK sets, thumbprints and certificate requests
