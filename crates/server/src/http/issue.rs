//! The way of a request, from the rim's side: every grant and the certificates pass here.

use std::sync::Arc;

use dayfly_issuer::{Clock, Context, Credential, IssueRequest, Outcome, Want};
use dayfly_keys::csr::CertificateRequest;
use dayfly_policy::Request;

use super::call::Call;
use super::evidence::{self, Grant, Presented};
use super::oauth_error::{OauthCode, OauthError};
use super::reasons::oauth_error;
use crate::app::App;
use crate::rim::SystemRng;
use crate::tasks::settle;

/// What is to be issued.
pub(crate) enum Wanted {
    Token,
    Certificate(CertificateRequest),
}

/// Attests, decides, mints, records, and only then returns the credential.
pub(crate) async fn issue(
    call: &Call,
    grant: Grant,
    presented: Presented,
    request: Request,
    wanted: Wanted,
) -> Result<Credential, OauthError> {
    let work = Work {
        app: Arc::clone(&call.app),
        grant,
        presented,
        request,
        wanted,
        request_id: call.request_id.to_string(),
        address: call.address,
        peer: call.peer.clone(),
    };
    // In a task of its own: a client that hangs up must not drop the work between the ledger's
    // step and the audit line.
    match tokio::spawn(work.run()).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(request_id = %call.request_id, panicked = error.is_panic(), "issuance broke off");
            call.app.metrics.panics.inc();
            Err(OauthError::new(OauthCode::ServerError))
        }
    }
}

struct Work {
    app: Arc<App>,
    grant: Grant,
    presented: Presented,
    request: Request,
    wanted: Wanted,
    request_id: String,
    address: Option<std::net::IpAddr>,
    peer: Option<dayfly_verifier::PeerCertificate>,
}

impl Work {
    async fn run(self) -> Result<Credential, OauthError> {
        let app = &self.app;
        // Room for the audit line comes first: a decision that cannot be written is not made.
        let Some(place) = app.audit.reserve().await else {
            return Err(OauthError::new(OauthCode::TemporarilyUnavailable).retry_after(1));
        };
        let principal = evidence::attest(
            app,
            &self.presented,
            self.peer.as_ref(),
            app.clock.now().time(),
        )
        .await;
        let want = match &self.wanted {
            Wanted::Token => Want::Token,
            Wanted::Certificate(request) => Want::Certificate { request },
        };
        let context = Context {
            request_id: &self.request_id,
            peer_address: self.address,
            grant: self.grant.as_str(),
        };
        let request = IssueRequest {
            principal,
            request: self.request,
            want,
            context,
        };
        let outcome = app
            .issuer
            .issue(request, app.clock.now(), &mut SystemRng)
            .await;
        let Outcome {
            decision,
            audit,
            result,
            unsettled,
            ..
        } = outcome;
        place.write(audit);
        if let Some(unsettled) = unsettled {
            settle::begin(app, unsettled);
        }
        match result {
            Ok(credential) => {
                app.metrics.decision(self.grant.as_str(), "permit");
                Ok(credential)
            }
            Err(refused) => {
                app.metrics
                    .decision(self.grant.as_str(), refused.reason.as_str());
                tracing::info!(
                    request_id = self.request_id,
                    decision = %decision,
                    reason = refused.reason.as_str(),
                    "denied"
                );
                Err(OauthError {
                    decision: Some(decision),
                    ..oauth_error(&refused, self.grant)
                })
            }
        }
    }
}
