//! How a command reaches the issuer, and with which evidence.

use std::path::PathBuf;

use clap::Args;
use dayfly_client::{Admin, Client, ClientBuilder, Identity, Secret, Source};
use dayfly_token::{SpiffeId, WorkloadId};

use super::Common;
use crate::exit::Failure;
use crate::input;

/// What proves who the caller is.
#[derive(Debug, Args)]
pub(crate) struct EvidenceArgs {
    /// `auto`, `github`, `gitlab` (the variable `DAYFLY_ID_TOKEN`), `gitlab:NAME`, `kubernetes`,
    /// `kubernetes:FILE`, `file:FILE` (an OIDC token), or `spiffe` with `--svid-cert` and
    /// `--svid-key`.
    #[arg(
        long,
        default_value = "auto",
        env = "DAYFLY_FROM",
        value_name = "SOURCE"
    )]
    from: String,
    /// The chain of an X.509-SVID, PEM, leaf first.
    #[arg(
        long,
        value_name = "FILE",
        requires = "svid_key",
        env = "DAYFLY_SVID_CERT_FILE"
    )]
    svid_cert: Option<PathBuf>,
    /// The private key of the SVID, PEM.
    #[arg(
        long,
        value_name = "FILE",
        requires = "svid_cert",
        env = "DAYFLY_SVID_KEY_FILE"
    )]
    svid_key: Option<PathBuf>,
}

/// How an operator reaches the issuer.
#[derive(Debug, Args)]
pub(crate) struct OperatorArgs {
    /// The admin socket of an issuer on this machine.
    #[arg(long, value_name = "PATH", env = "DAYFLY_SOCKET")]
    socket: Option<PathBuf>,
    /// A token for the issuer itself (or, to end a task, one of that task), alone in a file; `-` is
    /// standard input. Default: get one, by the evidence below.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    evidence: EvidenceArgs,
}

impl EvidenceArgs {
    fn source(self) -> Result<Source, Failure> {
        if let (Some(cert), Some(key), "auto" | "spiffe") =
            (&self.svid_cert, &self.svid_key, self.from.as_str())
        {
            return Ok(Source::svid(cert, key));
        }
        let (kind, place) = match self.from.split_once(':') {
            Some((kind, place)) => (kind, Some(place)),
            None => (self.from.as_str(), None),
        };
        match (kind, place) {
            ("auto", None) => Ok(Source::auto()?),
            ("file", Some(path)) => Ok(Source::file(path)),
            ("github", None) => Ok(Source::github()?),
            ("gitlab", name) => Ok(Source::gitlab(name.unwrap_or("DAYFLY_ID_TOKEN"))),
            ("kubernetes", path) => Ok(Source::kubernetes(path.map(PathBuf::from))),
            ("spiffe", None) => Err(Failure::usage(
                "`--from spiffe` needs `--svid-cert` and `--svid-key`",
            )),
            _ => Err(
                Failure::usage(format!("`--from {}` is no source of evidence", self.from))
                    .advise("one of auto, spiffe, github, gitlab, kubernetes, file:FILE"),
            ),
        }
    }

    /// A client with this evidence.
    pub(crate) fn client(self, common: &Common) -> Result<Client, Failure> {
        Ok(builder(common)?.source(self.source()?).build()?)
    }

    /// A client that can prove a binding, and needs no evidence beyond it.
    pub(crate) fn holder(self, common: &Common) -> Result<Client, Failure> {
        let mut builder = builder(common)?;
        if let (Some(cert), Some(key)) = (&self.svid_cert, &self.svid_key) {
            builder = builder.identity(Identity::new(
                input::text_file(cert)?,
                input::text_file(key)?,
            ));
        }
        Ok(builder.build()?)
    }
}

impl OperatorArgs {
    /// A client that has nothing to prove but a binding.
    pub(crate) fn holder(self, common: &Common) -> Result<Client, Failure> {
        self.evidence.holder(common)
    }

    /// The administration of the issuer.
    pub(crate) fn admin(self, common: &Common) -> Result<Admin, Failure> {
        if let Some(path) = &self.socket {
            return Ok(Admin::over_socket(path)?);
        }
        if let Some(path) = &self.token_file {
            let token = match path.to_str() {
                Some("-") => input::token()?,
                _ => input::text_file(path)?.trim().to_owned(),
            };
            let token = Secret::new(token);
            return Ok(self.evidence.holder(common)?.admin_with_token(token));
        }
        Ok(self.evidence.client(common)?.admin())
    }
}

fn builder(common: &Common) -> Result<ClientBuilder, Failure> {
    let issuer = common.issuer.as_deref().ok_or_else(|| {
        Failure::usage("the issuer is not named").advise("set `--issuer URL` or `DAYFLY_ISSUER`")
    })?;
    let mut builder = Client::builder(issuer);
    if let Some(path) = &common.ca_file {
        builder = builder.ca_pem(input::file(path)?);
    }
    Ok(builder)
}

/// A workload by `owner/name` or by its SPIFFE ID.
pub(crate) fn workload(text: &str) -> Result<WorkloadId, Failure> {
    let parsed = match text.parse::<SpiffeId>() {
        Ok(id) => WorkloadId::from_spiffe_id(&id).ok(),
        Err(_) => text.parse().ok(),
    };
    parsed.ok_or_else(|| Failure::usage(format!("`{text}` is no workload: `owner/name` is one")))
}
