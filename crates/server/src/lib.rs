#![doc = include_str!("../README.md")]

pub mod app;
mod audit;
pub mod authz;
pub mod config;
mod feed;
mod http;
mod metrics;
pub mod process;
mod rim;
mod tasks;
pub mod telemetry;

pub use http::openapi;
pub use rim::{SystemClock, SystemRng};
pub use tasks::reload::ReloadReport;

/// The files of `api/` that are generated from this crate, as paths from the root of the project
/// with their content. A test keeps the committed ones up to date.
#[must_use]
pub fn generated() -> Vec<(&'static str, String)> {
    vec![
        ("api/openapi.json", openapi()),
        ("api/authz.txt", authz::matrix()),
        ("api/config.schema.json", config::schema()),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The committed files are what this code generates. `DAYFLY_BLESS=1` writes them.
    #[test]
    fn generated_files_are_committed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (path, content) in super::generated() {
            let file = root.join(path);
            if std::env::var_os("DAYFLY_BLESS").is_some() {
                std::fs::write(&file, &content).unwrap();
            }
            let committed = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                committed == content,
                "{path} is not what the code generates: run `cargo xtask generate`"
            );
        }
    }
}
