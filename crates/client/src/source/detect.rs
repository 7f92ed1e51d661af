use std::path::{Path, PathBuf};

use super::{GithubActions, KUBERNETES_TOKEN, OidcSource, Source};
use crate::ClientError;

/// The variable that our GitLab component fills with an ID token.
const ID_TOKEN: &str = "DAYFLY_ID_TOKEN";
/// The variable that names a file with one.
const ID_TOKEN_FILE: &str = "DAYFLY_ID_TOKEN_FILE";
const SVID_CERT_FILE: &str = "DAYFLY_SVID_CERT_FILE";
const SVID_KEY_FILE: &str = "DAYFLY_SVID_KEY_FILE";

/// The first source that is there. What was named on purpose comes before what a platform sets.
pub(super) fn detect(
    variable: &dyn Fn(&str) -> Option<String>,
    exists: &dyn Fn(&Path) -> bool,
) -> Result<Source, ClientError> {
    if let (Some(cert), Some(key)) = (variable(SVID_CERT_FILE), variable(SVID_KEY_FILE)) {
        return Ok(Source::svid(cert, key));
    }
    if let Some(path) = variable(ID_TOKEN_FILE) {
        return Ok(Source::file(path));
    }
    if variable(ID_TOKEN).is_some() {
        return Ok(Source::gitlab(ID_TOKEN));
    }
    if let Some(github) = GithubActions::from_variables(variable) {
        return Ok(Source::Oidc(OidcSource::Github(github)));
    }
    if exists(Path::new(KUBERNETES_TOKEN)) {
        return Ok(Source::kubernetes(Some(PathBuf::from(KUBERNETES_TOKEN))));
    }
    Err(ClientError::EvidenceMissing {
        reason: what_to_do(variable).to_owned(),
    })
}

/// The platform is often there and only not told to hand out a token.
fn what_to_do(variable: &dyn Fn(&str) -> Option<String>) -> &'static str {
    if variable("GITHUB_ACTIONS").is_some() {
        "this GitHub Actions job may not ask for ID tokens: give it `permissions: { id-token: write }`"
    } else if variable("GITLAB_CI").is_some() {
        "this GitLab job has no ID token: give it `id_tokens: { DAYFLY_ID_TOKEN: { aud: <the issuer's URL> } }`"
    } else if variable("KUBERNETES_SERVICE_HOST").is_some() {
        "this pod has no token for the issuer: mount a projected service account token with the issuer as audience at \
         /var/run/secrets/dayfly/token"
    } else {
        "found nothing that proves who this workload is: no SVID files in DAYFLY_SVID_CERT_FILE and \
         DAYFLY_SVID_KEY_FILE, no token in DAYFLY_ID_TOKEN or DAYFLY_ID_TOKEN_FILE, no GitHub Actions, no \
         /var/run/secrets/dayfly/token"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(variables: &[(&str, &str)], files: &[&str]) -> Result<Source, ClientError> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        detect(&variable, &|path| {
            files.iter().any(|file| Path::new(file) == path)
        })
    }

    #[test]
    fn each_platform_is_found() {
        let github = [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://x/?a=b"),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t"),
        ];
        let svid = [
            (SVID_CERT_FILE, "/svid.pem"),
            (SVID_KEY_FILE, "/svid_key.pem"),
        ];
        let found = |variables: &[(&str, &str)], files: &[&str]| {
            format!("{:?}", detected(variables, files).unwrap())
        };
        assert_eq!(found(&github, &[]), "Oidc(GitHub Actions)");
        assert_eq!(
            found(&[(ID_TOKEN, "a.b.c")], &[]),
            "Oidc(the variable `DAYFLY_ID_TOKEN`)"
        );
        assert_eq!(found(&[(ID_TOKEN_FILE, "/t")], &[]), "Oidc(the file `/t`)");
        assert_eq!(
            found(&[], &[KUBERNETES_TOKEN]),
            "Oidc(the file `/var/run/secrets/dayfly/token`)"
        );
        assert_eq!(
            found(&svid, &[]),
            r#"Svid { cert: "/svid.pem", key: "/svid_key.pem" }"#
        );
        assert!(
            found(
                &[github.as_slice(), svid.as_slice()].concat(),
                &[KUBERNETES_TOKEN]
            )
            .starts_with("Svid")
        );
    }

    #[test]
    fn half_of_a_pair_is_nothing() {
        assert!(detected(&[(SVID_CERT_FILE, "/svid.pem")], &[]).is_err());
        assert!(detected(&[("ACTIONS_ID_TOKEN_REQUEST_URL", "https://x/")], &[]).is_err());
    }

    #[test]
    fn the_error_says_what_to_do_on_this_platform() {
        let reason = |name| detected(&[(name, "true")], &[]).unwrap_err().to_string();
        assert!(reason("GITHUB_ACTIONS").contains("id-token: write"));
        assert!(reason("GITLAB_CI").contains("id_tokens"));
        assert!(reason("KUBERNETES_SERVICE_HOST").contains("projected"));
        assert!(reason("HOME").contains("DAYFLY_ID_TOKEN"));
    }
}
