//! What is read: standard input and files, each with a bound.

use std::io::Read as _;
use std::path::Path;

use crate::exit::Failure;

/// More than any document of an issuer: a snapshot of a million revocations is 50 MiB.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// More than any token, so that one that is too large is still rejected as such.
const MAX_STDIN_BYTES: u64 = 64 * 1024;

/// The token on standard input, without the line break that most tools add.
pub(crate) fn token() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(MAX_STDIN_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::internal("standard input cannot be read", error))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage("standard input is not UTF-8 and so no token"))?;
    let token = text.strip_suffix('\n').unwrap_or(&text);
    let token = token.strip_suffix('\r').unwrap_or(token);
    if token.is_empty() {
        return Err(Failure::usage(
            "standard input is empty: a token is expected there",
        ));
    }
    Ok(token.to_owned())
}

/// A whole file.
pub(crate) fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    let open = std::fs::File::open(path).map_err(|error| Failure::file(path, error))?;
    let mut bytes = Vec::new();
    let read = open.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::file(path, error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Failure::usage(format!(
            "`{}` is longer than {MAX_FILE_BYTES} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}

/// A whole text file.
pub(crate) fn text_file(path: &Path) -> Result<String, Failure> {
    String::from_utf8(file(path)?).map_err(|error| Failure::file(path, error))
}
