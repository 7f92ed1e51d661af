//! Small real services for the demo, development and the tests: a SPIFFE CA, an OIDC issuer, a sample API
