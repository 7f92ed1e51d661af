//! Tokens of GitHub Actions as GitHub makes them, and everything about them that must be refused.

use dayfly_attest::{OidcConfigError, OidcIssuerConfig, OidcIssuers};
use dayfly_policy::{Attribute, Preset, Source};
use dayfly_token::UnixTime;
use serde_json::{Value, json};

use crate::NOW;
use crate::signer::{AUDIENCE, Knowing, Signer, attest, code, knowing};

const GITHUB: &str = "https://token.actions.githubusercontent.com";

fn config() -> OidcIssuerConfig {
    OidcIssuerConfig::github("github".parse().unwrap(), vec![AUDIENCE.to_owned()])
}

/// As the documentation of GitHub shows it: `nbf` ten minutes before `iat`, `exp` five minutes after.
fn claims() -> Value {
    let now = NOW.as_secs();
    json!({
        "jti": "9d1bf1a6-1f0a-4a0e-a1d8-6d8b0a1f2c3d",
        "sub": "repo:octo-org@65/octo-repo@74:environment:prod",
        "environment": "prod", "aud": AUDIENCE, "ref": "refs/heads/main",
        "sha": "d6b8f9a6c1e2", "repository": "octo-org/octo-repo", "repository_owner": "octo-org",
        "actor_id": "12", "repository_visibility": "private", "repository_id": "74",
        "repository_owner_id": "65", "run_id": "1234567890", "run_number": "10", "run_attempt": "2",
        "runner_environment": "github-hosted", "actor": "octocat", "workflow": "deploy",
        "head_ref": "", "base_ref": "", "event_name": "push", "ref_type": "branch",
        "job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
        "repo_property_tier": "gold", "iss": GITHUB,
        "nbf": now - 605, "iat": now - 5, "exp": now + 295,
    })
}

fn setup() -> (Signer, Knowing) {
    let signer = Signer::new("RS256", "38826b17-6a30-5f9b-b169-8beb8202f723");
    let attestor = knowing(config(), &json!({"keys": [signer.jwk()]}));
    (signer, attestor)
}

#[tokio::test]
async fn positive_control() {
    let (signer, attestor) = setup();
    let principal = attest(&attestor, &signer.token(&claims()), NOW)
        .await
        .unwrap();
    assert_eq!(principal.source, Source::Issuer("github".parse().unwrap()));
    assert_eq!(principal.issuer_url.as_deref(), Some(GITHUB));
    assert_eq!(
        principal.subject,
        "repo:octo-org@65/octo-repo@74:environment:prod"
    );
    for (claim, value) in [
        ("repository_id", "74"),
        ("run_attempt", "2"),
        ("head_ref", ""),
        ("repo_property_tier", "gold"),
        ("aud", AUDIENCE),
    ] {
        assert_eq!(
            principal.attributes[claim],
            Attribute::Text(value.to_owned())
        );
    }
    assert_eq!(principal.expires_at.as_secs(), NOW.as_secs() + 295);
    assert_eq!(
        principal.issued_at,
        Some(UnixTime::from_secs(NOW.as_secs() - 5))
    );
    assert!(principal.single_use.is_some());
    let shown = Value::Object(principal.informational);
    assert_eq!(shown["repository_id"], "74");
    assert_eq!(shown["run_id"], "1234567890");
    assert_eq!(shown["sha"], "d6b8f9a6c1e2");
    assert!(shown.get("actor").is_none() && shown.to_string().len() <= 1024);
}

#[tokio::test]
async fn each_token_counts_once_by_its_id() {
    let (signer, attestor) = setup();
    let first = attest(&attestor, &signer.token(&claims()), NOW)
        .await
        .unwrap();
    let mut other = claims();
    other["sub"] = json!("repo:octo-org@65/octo-repo@74:ref:refs/heads/main");
    let same_id = attest(&attestor, &signer.token(&other), NOW).await.unwrap();
    assert_eq!(first.single_use, same_id.single_use);
    assert_ne!(first.digest, same_id.digest);
    other["jti"] = json!("another");
    let other_id = attest(&attestor, &signer.token(&other), NOW).await.unwrap();
    assert_ne!(first.single_use, other_id.single_use);
}

#[tokio::test]
async fn another_name_of_the_issuer_makes_no_token_fresh() {
    let signer = Signer::new("RS256", "k");
    let jwks = json!({"keys": [signer.jwk()]});
    let token = signer.token(&claims());
    let mut renamed = config();
    renamed.name = "github-com".parse().unwrap();
    let mut enterprise = config();
    enterprise.issuer = format!("{GITHUB}/octo-enterprise");
    let mut of_enterprise = claims();
    of_enterprise["iss"] = json!(enterprise.issuer);
    let first = attest(&knowing(config(), &jwks), &token, NOW)
        .await
        .unwrap();
    let again = attest(&knowing(renamed, &jwks), &token, NOW).await.unwrap();
    assert_eq!(first.single_use, again.single_use);
    let token = signer.token(&of_enterprise);
    let other = attest(&knowing(enterprise, &jwks), &token, NOW)
        .await
        .unwrap();
    assert_ne!(
        first.single_use, other.single_use,
        "an id is its issuer's own"
    );
}

#[tokio::test]
async fn pins_have_to_be_there_as_text() {
    let (signer, attestor) = setup();
    for claim in [
        "repository_id",
        "repository_owner_id",
        "event_name",
        "jti",
        "aud",
        "exp",
        "iat",
        "sub",
    ] {
        let mut changed = claims();
        changed.as_object_mut().unwrap().remove(claim);
        assert_eq!(
            code(&attestor, &signer.token(&changed)).await,
            "missing_claim",
            "{claim}"
        );
    }
    for claim in ["repository_id", "repository_owner_id", "event_name"] {
        for value in [
            json!(""),
            json!(null),
            json!(74),
            json!(["74"]),
            json!({"id": "74"}),
            json!(true),
        ] {
            let mut changed = claims();
            changed[claim] = value.clone();
            assert_eq!(
                code(&attestor, &signer.token(&changed)).await,
                "bad_claim",
                "{claim} {value}"
            );
        }
    }
    for claim in [
        "environment",
        "ref",
        "job_workflow_ref",
        "run_attempt",
        "runner_environment",
    ] {
        let mut changed = claims();
        changed[claim] = json!(1);
        assert_eq!(
            code(&attestor, &signer.token(&changed)).await,
            "bad_claim",
            "{claim}"
        );
    }
    // One of the two that say which code it is.
    for (environment, reference, expected) in [
        (Some("prod"), None, "accepted"),
        (None, Some("refs/heads/main"), "accepted"),
        (None, None, "missing_claim"),
        (Some(""), Some(""), "missing_claim"),
    ] {
        let mut changed = claims();
        for (claim, value) in [("environment", environment), ("ref", reference)] {
            match value {
                Some(value) => changed[claim] = json!(value),
                None => drop(changed.as_object_mut().unwrap().remove(claim)),
            }
        }
        assert_eq!(code(&attestor, &signer.token(&changed)).await, expected);
    }
}

#[tokio::test]
async fn times_and_audiences() {
    let (signer, attestor) = setup();
    let now = NOW.as_secs();
    for (changes, expected) in [
        (json!({"exp": now - 29, "iat": now - 300}), "accepted"),
        (json!({"exp": now - 30, "iat": now - 300}), "expired"),
        (json!({"iat": now + 30}), "accepted"),
        (json!({"iat": now + 31}), "not_yet_valid"),
        (json!({"nbf": now + 31}), "not_yet_valid"),
        (json!({"iat": now, "exp": now + 900}), "accepted"),
        (json!({"iat": now, "exp": now + 901}), "lifetime_too_long"),
        (json!({"exp": "soon"}), "bad_claim"),
        (
            json!({"aud": "https://github.com/octo-org"}),
            "wrong_audience",
        ),
        (json!({"aud": [AUDIENCE]}), "accepted"),
        (
            json!({"aud": [AUDIENCE, "https://github.com/octo-org"]}),
            "several_audiences",
        ),
        (json!({"jti": ""}), "bad_claim"),
        (json!({"jti": 7}), "bad_claim"),
        (
            json!({"iss": format!("{GITHUB}/octo-enterprise")}),
            "unknown_issuer",
        ),
        (json!({"iss": format!("{GITHUB}/")}), "unknown_issuer"),
    ] {
        let mut changed = claims();
        for (claim, value) in changes.as_object().unwrap() {
            changed[claim] = value.clone();
        }
        assert_eq!(
            code(&attestor, &signer.token(&changed)).await,
            expected,
            "{changes}"
        );
    }
}

#[tokio::test]
async fn enterprises_have_their_own_issuer() {
    let signer = Signer::new("RS256", "k");
    for issuer in [
        "https://token.actions.githubusercontent.com/octo-enterprise",
        "https://token.actions.octo.ghe.com",
        "https://ghes.example/_services/token",
    ] {
        let mut enterprise = config();
        enterprise.issuer = issuer.to_owned();
        let attestor = knowing(enterprise, &json!({"keys": [signer.jwk()]}));
        assert_eq!(
            code(&attestor, &signer.token(&claims())).await,
            "unknown_issuer"
        );
        let mut own = claims();
        own["iss"] = json!(issuer);
        assert_eq!(code(&attestor, &signer.token(&own)).await, "accepted");
    }
}

#[test]
fn careless_configurations_are_refused() {
    let refused = |change: fn(&mut OidcIssuerConfig)| {
        let mut config = config();
        change(&mut config);
        OidcIssuers::new(vec![config])
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    assert_eq!(refused(|_| ()), Ok(()));
    let changes: [fn(&mut OidcIssuerConfig); 11] = [
        |config| config.max_lifetime_secs = 901,
        |config| config.max_lifetime_secs = 0,
        |config| config.single_use = false,
        |config| config.audiences.clear(),
        |config| config.audiences = vec![String::new()],
        |config| config.audiences = vec![AUDIENCE.to_owned(), AUDIENCE.to_owned()],
        |config| config.audiences = vec!["https://github.com/octo-org".to_owned()],
        |config| config.algorithms.clear(),
        |config| config.algorithms = vec!["HS256".to_owned()],
        |config| config.algorithms = vec!["none".to_owned()],
        |config| config.issuer = "http://token.actions.githubusercontent.com".to_owned(),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        assert!(refused(change).is_err(), "{n}");
    }
    let day = |secs| {
        let mut custom = config();
        custom.preset = Preset::Custom;
        custom.max_lifetime_secs = secs;
        OidcIssuers::new(vec![custom]).is_ok()
    };
    assert!(day(86_400) && !day(86_401));
    let mut twin = config();
    assert!(matches!(
        OidcIssuers::new(vec![config(), twin.clone()]),
        Err(OidcConfigError::DuplicateName { .. })
    ));
    twin.name = "twin".parse().unwrap();
    assert!(matches!(
        OidcIssuers::new(vec![config(), twin]),
        Err(OidcConfigError::DuplicateIssuer { .. })
    ));
}
