//! What is written down about dayfly agrees with what it does: the OpenAPI document, the
//! authorization matrix, the schema of the configuration, the published documents, the samples.

mod document;
mod generated;
mod matrix;
mod publications;
mod samples;

use std::path::{Path, PathBuf};

/// The folder of the project.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the project")
        .to_owned()
}
