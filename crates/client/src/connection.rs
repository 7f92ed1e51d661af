use std::path::Path;
use std::time::SystemTime;

use crate::identity::ParsedIdentity;
use crate::source::read_evidence;
use crate::tls::{Trust, http_client};
use crate::{ClientError, Identity};

/// An HTTP client and the certificate that its connections present.
pub(crate) struct Connection {
    pub(crate) http: reqwest::Client,
    pub(crate) has_certificate: bool,
    /// The SPIFFE ID in the certificate.
    pub(crate) spiffe_id: Option<String>,
    /// The files that the certificate came from, as they were.
    stamp: Option<Stamp>,
    /// Counts the certificates that this client has had: what was bound to an older one is of no use any more.
    pub(crate) generation: u64,
}

/// When two files were last written, and how long they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp([(Option<SystemTime>, u64); 2]);

impl Connection {
    pub(crate) fn new(
        trust: Trust<'_>,
        identity: Option<&ParsedIdentity>,
        loopback: bool,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            http: http_client(trust, identity, loopback)?,
            has_certificate: identity.is_some(),
            spiffe_id: identity.and_then(|identity| identity.spiffe_id.clone()),
            stamp: None,
            generation: 0,
        })
    }

    /// The connection of these files, unless `self` is it already.
    pub(crate) async fn renewed(
        &self,
        cert: &Path,
        key: &Path,
        trust: Trust<'_>,
        loopback: bool,
    ) -> Result<Option<Self>, ClientError> {
        let stamp = Stamp::of(cert, key).await?;
        if self.stamp == Some(stamp) {
            return Ok(None);
        }
        let cert_chain = read_evidence(cert).await?;
        let key = read_evidence(key).await?;
        let identity = ParsedIdentity::parse(&Identity::new(cert_chain.expose(), key))?;
        let connection = Self::new(trust, Some(&identity), loopback)?;
        Ok(Some(Self {
            stamp: Some(stamp),
            generation: self.generation + 1,
            ..connection
        }))
    }
}

impl Stamp {
    async fn of(cert: &Path, key: &Path) -> Result<Self, ClientError> {
        Ok(Self([stamp(cert).await?, stamp(key).await?]))
    }
}

async fn stamp(path: &Path) -> Result<(Option<SystemTime>, u64), ClientError> {
    let metadata = tokio::fs::metadata(path)
        .await
        .map_err(|source| ClientError::EvidenceFile {
            path: path.to_owned(),
            source,
        })?;
    Ok((metadata.modified().ok(), metadata.len()))
}
