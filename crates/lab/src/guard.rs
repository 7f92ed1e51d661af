//! What keeps the lab out of production: each lab service asks here before it starts.

use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::LabError;

/// The variable that says what kind of environment this is.
pub const ENVIRONMENT_VARIABLE: &str = "DAYFLY_ENV";

/// Words of [`ENVIRONMENT_VARIABLE`] that mean production, alone or as a part (`prod-eu`).
const PRODUCTION: [&str; 4] = ["production", "prod", "prd", "live"];

/// Refuses when `DAYFLY_ENV` says production.
pub fn check_environment() -> Result<(), LabError> {
    env::var_os(ENVIRONMENT_VARIABLE).map_or(Ok(()), |value| {
        check_environment_value(&value.to_string_lossy())
    })
}

/// Refuses when `value` names a production environment: `prod`, `Production`, `prod-eu`, `eu_live`.
pub fn check_environment_value(value: &str) -> Result<(), LabError> {
    let lower = value.to_lowercase();
    let production = lower
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| PRODUCTION.contains(&word));
    if production {
        return Err(LabError::Production {
            value: value.to_owned(),
        });
    }
    Ok(())
}

/// Refuses an address that other machines could reach.
pub fn check_address(address: SocketAddr) -> Result<(), LabError> {
    // `::ffff:127.0.0.1` is loopback too, and `is_loopback` of an IPv6 address knows `::1` only.
    let loopback = match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
    };
    if loopback {
        Ok(())
    } else {
        Err(LabError::NotLoopback { address })
    }
}

/// A listener on a loopback address, once environment and address have been checked.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, LabError> {
    check_environment()?;
    check_address(address)?;
    TcpListener::bind(address)
        .await
        .map_err(|source| LabError::Bind { address, source })
}

/// 127.0.0.1 with a port that the system chooses.
#[must_use]
pub const fn any_port() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn production_is_refused() {
        for value in [
            "prod",
            "production",
            "PROD",
            "Production",
            "prod-eu-1",
            "eu_live",
            "prd",
            "acme.prod",
        ] {
            let refused = check_environment_value(value);
            assert!(
                matches!(refused, Err(LabError::Production { .. })),
                "{value}"
            );
        }
        for value in [
            "",
            "dev",
            "test",
            "staging",
            "product-catalogue",
            "olive",
            "reproduction",
        ] {
            assert!(check_environment_value(value).is_ok(), "{value}");
        }
    }

    #[test]
    fn only_loopback_addresses() {
        for address in [
            "127.0.0.1:0",
            "127.9.9.9:80",
            "[::1]:0",
            "[::ffff:127.0.0.1]:0",
        ] {
            assert!(check_address(address.parse().unwrap()).is_ok(), "{address}");
        }
        for address in [
            "0.0.0.0:0",
            "[::]:0",
            "10.0.0.1:80",
            "192.168.1.1:0",
            "[fe80::1]:0",
            "[::ffff:10.0.0.1]:0",
        ] {
            let refused = check_address(address.parse().unwrap());
            assert!(
                matches!(refused, Err(LabError::NotLoopback { .. })),
                "{address}"
            );
        }
    }

    #[tokio::test]
    async fn a_wildcard_listener_is_refused_before_it_is_opened() {
        let refused = listen("0.0.0.0:0".parse().unwrap()).await;
        assert!(matches!(refused, Err(LabError::NotLoopback { .. })));
        let listener = listen(any_port()).await.unwrap();
        assert!(listener.local_addr().unwrap().ip().is_loopback());
    }
}
