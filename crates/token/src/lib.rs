//! The wire vocabulary of dayfly: compact JWS parts, strict JSON, claims, SPIFFE IDs, scopes, tasks and times, without cryptography
