use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Verified;

/// One type of authorization details (RFC 9396 section 2), as the API that defines it reads it.
///
/// The value is made of the members of an entry beside `type`. Refuse what you do not know
/// (`#[serde(deny_unknown_fields)]`): a member that is not understood may be the one that restricts.
///
/// ```
/// use dayfly_verifier::{AuthorizationDetail, Verified};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Transfer {
///     account: String,
///     limit_cents: u64,
/// }
///
/// impl AuthorizationDetail for Transfer {
///     const TYPE: &'static str = "transfer";
/// }
///
/// fn may_transfer(caller: &Verified, account: &str, cents: u64) -> bool {
///     let Ok(transfers) = caller.authorization_details_of::<Transfer>() else {
///         return false;
///     };
///     transfers.iter().any(|transfer| transfer.account == account && cents <= transfer.limit_cents)
/// }
/// ```
pub trait AuthorizationDetail: DeserializeOwned {
    /// The member `type`, exactly as tokens carry it.
    const TYPE: &'static str;
}

/// An entry of the right type is not of the form that the API expects.
#[derive(Debug, thiserror::Error)]
#[error("entry {index} of the authorization details is no `{type_name}`")]
pub struct DetailError {
    /// Which entry, counted from 0 among all types.
    pub index: usize,
    /// The type.
    pub type_name: &'static str,
    /// What is wrong with it.
    pub source: serde_json::Error,
}

impl Verified {
    /// The authorization details of the type `T`, in the token's order; entries of other types are left out. Empty if
    /// there are none.
    ///
    /// # Errors
    /// If an entry of this type has another form: then none of them is given, because the one that cannot be read may be
    /// the one that restricts the others.
    pub fn authorization_details_of<T: AuthorizationDetail>(&self) -> Result<Vec<T>, DetailError> {
        let mut details = Vec::new();
        for (index, entry) in self.authorization_details().iter().enumerate() {
            if entry.get("type").and_then(Value::as_str) != Some(T::TYPE) {
                continue;
            }
            let mut members = entry.clone();
            members.remove("type");
            let detail = T::deserialize(Value::Object(members)).map_err(|source| DetailError {
                index,
                type_name: T::TYPE,
                source,
            })?;
            details.push(detail);
        }
        Ok(details)
    }
}
