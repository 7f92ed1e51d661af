//! The times of the signing keys, as the machine behind them wants them (protocol D).

use dayfly_issuer::lifecycle::{LifecycleConfig, LifecycleError};
use dayfly_policy::MAX_LIFETIME_SECS;
use dayfly_verifier::MAX_LEEWAY_SECS;

use super::error::Mistake;
use super::file::Config;
use super::sources::algorithm;

/// The lease in renewals: it survives the loss of two.
const LEASE_RENEWALS: u64 = 3;

/// The times of a replica's keys.
pub(crate) fn lifecycle(config: &Config, replica: &str) -> LifecycleConfig {
    let keys = &config.keys;
    LifecycleConfig {
        max_age_secs: keys.jwks_max_age.as_secs(),
        sync_secs: keys.sync.as_secs(),
        lead_secs: keys.lead.as_secs(),
        lease_secs: keys.sync.as_secs().saturating_mul(LEASE_RENEWALS),
        renew_secs: keys.sync.as_secs(),
        rotate_secs: keys.rotation.as_secs(),
        ..LifecycleConfig::new(
            config.issuer.to_string(),
            replica.to_owned(),
            algorithm(keys.algorithm),
            // L and S at their largest, since the registry's L can grow at a reload.
            MAX_LIFETIME_SECS.saturating_add(MAX_LEEWAY_SECS),
        )
    }
}

/// Times that do not fit together, by the name of the setting to change.
pub(super) fn mistakes(config: &Config, found: &mut Vec<Mistake>) {
    let keys = &config.keys;
    for (name, period) in [
        ("keys.rotation", keys.rotation),
        ("keys.lead", keys.lead),
        ("keys.jwks_max_age", keys.jwks_max_age),
        ("keys.sync", keys.sync),
    ] {
        if !period.as_millis().is_multiple_of(1000) {
            found.push(Mistake::new(name, "must be a whole number of seconds"));
        }
    }
    let Err(error) = lifecycle(config, "replica").check() else {
        return;
    };
    let key = match &error {
        LifecycleError::LeaseTooShort { .. } => "keys.sync",
        LifecycleError::RotationTooFast { .. } => "keys.rotation",
        _ => "keys.lead",
    };
    let hint = match &error {
        LifecycleError::LeaseTooShort { .. } => {
            " (the lease is three times `sync`; write `3s` or more)"
        }
        _ => "",
    };
    found.push(Mistake::new(key, format!("{error}{hint}")));
}
