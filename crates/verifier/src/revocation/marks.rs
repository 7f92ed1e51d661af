use dayfly_keys::sha256_of;
use dayfly_token::feed::{Kind, Prefix};
use dayfly_token::{Claims, UnixTime, WorkloadId};

/// What a revocation can name of one credential.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The signing key's id; empty for a credential that no key id names.
    pub kid: &'a str,
    /// The credential's id.
    pub jti: &'a str,
    /// Its subject; a SPIFFE ID of the form `owner/workload` is also looked up as both.
    pub sub: &'a str,
    /// Its task.
    pub txn: Option<&'a str>,
    /// The rule that mapped the evidence.
    pub rule: Option<&'a str>,
    /// Ids of the credentials that it descends from.
    pub ancestors: &'a [String],
    /// Who acts for the subject, each looked up like it; outermost first.
    pub actors: Option<&'a dayfly_token::Actor>,
    /// When it was issued.
    pub issued_at: UnixTime,
}

impl<'a> Facts<'a> {
    /// The facts of an access token that the key `kid` signed.
    #[must_use]
    pub fn of(kid: &'a str, claims: &'a Claims) -> Self {
        Self {
            kid,
            jti: &claims.jti,
            sub: &claims.sub,
            txn: claims.txn.as_deref(),
            rule: claims.dfy.as_ref().map(|dfy| dfy.rule.as_str()),
            ancestors: claims.dfy.as_ref().map_or(&[], |dfy| dfy.anc.as_slice()),
            actors: claims.act.as_ref(),
            issued_at: claims.iat,
        }
    }

    /// The facts as the feed names them.
    #[must_use]
    pub fn marks(&self) -> Marks {
        self.marks_of(prefix(Kind::Key, self.kid))
    }

    /// [`Facts::marks`], for a key whose prefix is known.
    pub(crate) fn marks_of(&self, key: Prefix) -> Marks {
        let mut marks = Vec::with_capacity(6 + self.ancestors.len());
        marks.push((Kind::Key, key));
        let mut mark = |kind, value: &str| marks.push((kind, prefix(kind, value)));
        mark(Kind::Credential, self.jti);
        for ancestor in self.ancestors {
            mark(Kind::Credential, ancestor);
        }
        if let Some(txn) = self.txn {
            mark(Kind::Task, txn);
        }
        if let Some(rule) = self.rule {
            mark(Kind::Rule, rule);
        }
        let actors = self.actors.into_iter().flat_map(|actor| actor.chain());
        for subject in std::iter::once(self.sub).chain(actors.map(|actor| actor.sub.as_str())) {
            if let Some((owner, workload)) = WorkloadId::named_in(subject) {
                mark(Kind::Workload, workload);
                mark(Kind::Owner, owner);
            }
        }
        Marks {
            marks,
            issued_at: self.issued_at,
        }
    }
}

/// The [`Facts`] of one credential as the feed names them, made once and looked up many times.
#[derive(Clone, Debug)]
pub struct Marks {
    /// In the order in which they are looked up.
    pub(super) marks: Vec<(Kind, Prefix)>,
    pub(super) issued_at: UnixTime,
}

/// What an entry of the feed carries in the place of a name: the first 16 bytes of SHA-256(kind ‖ 0x00 ‖ value).
#[must_use]
pub fn prefix(kind: Kind, value: &str) -> Prefix {
    let digest = sha256_of(&[kind.as_str().as_bytes(), &[0], value.as_bytes()]);
    let mut bytes = [0; 16];
    for (byte, digested) in bytes.iter_mut().zip(digest) {
        *byte = digested;
    }
    Prefix::from_bytes(bytes)
}
