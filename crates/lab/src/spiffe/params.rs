use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use time::Duration;

use crate::{LabError, tls};

/// X.509 keyUsage (RFC 5280 section 4.2.1.3).
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
/// BIT STRING with digitalSignature alone, as DER.
const DIGITAL_SIGNATURE: [u8; 4] = [0x03, 0x02, 0x07, 0x80];
/// An extension that nobody knows, under the UUID arc (2.25) of the nil UUID.
const UNKNOWN_EXTENSION: &[u64] = &[2, 25, 0];
/// NULL, as DER.
const NULL: [u8; 2] = [0x05, 0x00];

/// SVIDs begin to be valid this long before they are made, as SPIRE does it for clocks that are behind.
const BACKDATE_SECS: i64 = 10;

/// What a leaf says, so that tests can make every certificate that is almost an SVID.
///
/// [`SvidParams::new`] gives a proper one (SPIFFE X509-SVID, sections 2 to 4); change a field and it is none.
#[derive(Clone, Debug)]
pub struct SvidParams {
    /// The URI SANs. Exactly one makes an SVID.
    pub uris: Vec<String>,
    /// The DNS SANs.
    pub dns_names: Vec<String>,
    /// A common name; with none the subject is empty and the SAN extension critical.
    pub common_name: Option<String>,
    /// What basicConstraints says.
    pub basic_constraints: BasicConstraintsKnob,
    /// What keyUsage says.
    pub key_usage: KeyUsageKnob,
    /// What extKeyUsage says; the extension is left out if this is empty.
    pub extended_key_usage: Vec<ExtendedKeyUsagePurpose>,
    /// Begin of the validity, in seconds from now.
    pub not_before_secs: i64,
    /// End of the validity, in seconds from now.
    pub not_after_secs: i64,
    /// The kind of key.
    pub key: CertificateKey,
    /// Adds a critical extension that no one understands, so that every validator must refuse.
    pub unknown_critical_extension: bool,
    /// Leaves the intermediate out of the chain, so that no path leads to the root.
    pub leave_out_intermediate: bool,
}

/// What basicConstraints says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicConstraintsKnob {
    /// Present, `cA` false.
    NotCa,
    /// Present, `cA` true.
    Ca,
    /// No such extension.
    Absent,
}

/// What keyUsage says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyUsageKnob {
    /// Critical, digitalSignature alone.
    DigitalSignature,
    /// No such extension.
    Absent,
    /// digitalSignature, in an extension that is not critical.
    NotCritical,
    /// Critical, these and no others.
    Exactly(Vec<KeyUsagePurpose>),
}

/// The kind of a certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateKey {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA with 2048 bits.
    Rsa2048,
}

impl SvidParams {
    /// A proper SVID for `spiffe_id` (not checked here: hostile tests pass anything), valid for `ttl_secs` from now.
    pub fn new(spiffe_id: impl Into<String>, ttl_secs: u64) -> Self {
        Self {
            uris: vec![spiffe_id.into()],
            dns_names: Vec::new(),
            common_name: None,
            basic_constraints: BasicConstraintsKnob::NotCa,
            key_usage: KeyUsageKnob::DigitalSignature,
            extended_key_usage: vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
            not_before_secs: -BACKDATE_SECS,
            not_after_secs: i64::try_from(ttl_secs).unwrap_or(i64::MAX),
            key: CertificateKey::P256,
            unknown_critical_extension: false,
            leave_out_intermediate: false,
        }
    }

    /// The same, expired a minute ago.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.not_before_secs = -3600;
        self.not_after_secs = -60;
        self
    }

    /// The same, valid from ten minutes ahead.
    #[must_use]
    pub fn not_yet_valid(mut self) -> Self {
        self.not_before_secs = 600;
        self.not_after_secs = 3600;
        self
    }

    pub(super) fn certificate_params(&self) -> Result<CertificateParams, LabError> {
        let mut params = CertificateParams::default();
        let now = tls::now()?;
        params.not_before = now.saturating_add(Duration::seconds(self.not_before_secs));
        params.not_after = now.saturating_add(Duration::seconds(self.not_after_secs));
        params.serial_number = Some(tls::serial()?);
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = &self.common_name {
            params
                .distinguished_name
                .push(DnType::CommonName, name.as_str());
        }
        params.subject_alt_names = self.subject_alt_names()?;
        params.use_authority_key_identifier_extension = true;
        params
            .extended_key_usages
            .clone_from(&self.extended_key_usage);
        params.is_ca = match self.basic_constraints {
            BasicConstraintsKnob::NotCa => IsCa::ExplicitNoCa,
            BasicConstraintsKnob::Ca => IsCa::Ca(BasicConstraints::Unconstrained),
            BasicConstraintsKnob::Absent => IsCa::NoCa,
        };
        match &self.key_usage {
            KeyUsageKnob::DigitalSignature => {
                params.key_usages = vec![KeyUsagePurpose::DigitalSignature]
            }
            KeyUsageKnob::Exactly(usages) => params.key_usages.clone_from(usages),
            KeyUsageKnob::Absent => {}
            KeyUsageKnob::NotCritical => {
                params
                    .custom_extensions
                    .push(CustomExtension::from_oid_content(
                        KEY_USAGE,
                        DIGITAL_SIGNATURE.to_vec(),
                    ))
            }
        }
        if self.unknown_critical_extension {
            let mut unknown = CustomExtension::from_oid_content(UNKNOWN_EXTENSION, NULL.to_vec());
            unknown.set_criticality(true);
            params.custom_extensions.push(unknown);
        }
        Ok(params)
    }

    fn subject_alt_names(&self) -> Result<Vec<SanType>, LabError> {
        let name = |text: &String| {
            text.as_str()
                .try_into()
                .map_err(|source| LabError::Certificate {
                    what: "SVID",
                    source,
                })
        };
        let uris = self.uris.iter().map(|uri| name(uri).map(SanType::URI));
        let dns_names = self
            .dns_names
            .iter()
            .map(|dns| name(dns).map(SanType::DnsName));
        uris.chain(dns_names).collect()
    }
}

impl CertificateKey {
    pub(super) fn generate(self) -> Result<KeyPair, LabError> {
        let algorithm = match self {
            Self::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
            Self::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
        };
        KeyPair::generate_for(algorithm).map_err(|_| LabError::Key { what: "SVID" })
    }
}
