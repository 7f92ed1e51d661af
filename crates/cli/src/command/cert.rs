//! `dayfly cert`: a certificate for a key that is made here.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use dayfly_client::CertificateRequest;
use serde_json::json;

use super::Common;
use super::issuer::EvidenceArgs;
use crate::exit::{Exit, Failure};
use crate::output;

/// Get a certificate (an X.509-SVID of the issuer's trust domain) for a fresh P-256 key.
///
/// The key is made here, never leaves this machine, and is written with mode 0600.
#[derive(Debug, Args)]
pub(crate) struct CertArgs {
    /// Where the chain goes, PEM, leaf first.
    #[arg(long, value_name = "FILE")]
    out_cert: PathBuf,
    /// Where the private key goes, PEM.
    #[arg(long, value_name = "FILE")]
    out_key: PathBuf,
    /// A DNS name, if the workload may have it. May be given more than once.
    #[arg(long = "dns-name", value_name = "NAME")]
    dns_names: Vec<String>,
    /// The task that the certificate is for.
    #[arg(long)]
    task: Option<String>,
    /// What it is for, in words; for the audit trail.
    #[arg(long)]
    purpose: Option<String>,
    /// The rule that maps the evidence, where more than one matches.
    #[arg(long)]
    rule: Option<String>,
    /// The lifetime in seconds; it can only shorten what is granted.
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    #[command(flatten)]
    evidence: EvidenceArgs,
}

pub(crate) async fn run(common: Common, args: CertArgs) -> Result<Exit, Failure> {
    let mut request = CertificateRequest::new();
    for name in args.dns_names {
        request = request.dns_name(name);
    }
    if let Some(task) = args.task {
        request = request.task(task);
    }
    if let Some(purpose) = args.purpose {
        request = request.purpose(purpose);
    }
    if let Some(rule) = args.rule {
        request = request.rule(rule);
    }
    if let Some(secs) = args.ttl {
        request = request.requested_ttl(Duration::from_secs(secs));
    }
    let certificate = args.evidence.client(&common)?.certificate(&request).await?;
    write(&args.out_key, 0o600, certificate.key_pem().expose())?;
    write(&args.out_cert, 0o644, certificate.chain_pem())?;
    let value = json!({
        "spiffe_id": certificate.spiffe_id(),
        "serial": certificate.serial(),
        "not_after": certificate.not_after(),
        "renew_after": certificate.renew_after(),
        "certificate": args.out_cert,
        "key": args.out_key,
    });
    output::result(common.output, &value, || {
        format!(
            "{}\n  serial     {}\n  not after  {}\n  written to {} and {}",
            certificate.spiffe_id(),
            certificate.serial(),
            certificate.not_after(),
            args.out_cert.display(),
            args.out_key.display()
        )
    });
    Ok(Exit::Done)
}

/// Writes beside the target and renames, so that a reader never sees half a file.
fn write(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| {
        // What is left of it holds a key.
        drop(std::fs::remove_file(&beside));
        Failure::file(path, error)
    })
}
