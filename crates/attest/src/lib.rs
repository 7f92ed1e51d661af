//! Evidence to principal: SPIFFE certificates, OIDC tokens and our own tokens
