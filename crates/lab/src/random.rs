use crate::LabError;

/// `N` fresh random bytes.
#[allow(
    clippy::disallowed_methods,
    reason = "the lab is rim code: it plays the outside world"
)]
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], LabError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| LabError::Random)?;
    Ok(bytes)
}
