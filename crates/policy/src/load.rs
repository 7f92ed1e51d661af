//! Sources on disk or in memory → a compiled [`Registry`], or everything that is wrong with them.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use dayfly_token::Slug;
use sha2::{Digest as _, Sha256};

use crate::compile::{Compiler, OwnedFile};
use crate::config::RegistryFile;
use crate::finding::{Findings, Place, SourceFile};
use crate::{Lint, LoadErrors, LoadOptions, Registry};

/// Largest source file in bytes: thousands of rules, and nothing that somebody wrote by hand.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Most source files: one for each of ten thousand services.
const MAX_FILES: usize = 10_000;
/// Bytes of the digest that stand in `version`: enough that nobody finds two sources with one version.
const VERSION_BYTES: usize = 16;

const REGISTRY: &str = "registry";
const POLICIES: &str = "policies";

impl Registry {
    /// Loads `registry/<owner>/*.toml` and `policies/*.cedar` in the folder `dir`. Both folders must be there, even if
    /// empty: a lost mount must not look like an absence of guardrails. Names that begin with a dot are skipped, as are
    /// other file types.
    ///
    /// # Errors
    /// Everything that keeps the sources from being used, with file, line and what to write instead.
    pub fn load(dir: &Path, options: &LoadOptions) -> Result<(Self, Vec<Lint>), LoadErrors> {
        let mut findings = Findings::default();
        let mut files = Vec::new();
        for owner in entries(&dir.join(REGISTRY), &mut findings) {
            if owner.is_dir() {
                read_all(&owner, "toml", &mut files, &mut findings);
            } else if has_extension(&owner, "toml") {
                findings.unreadable(
                    &owner,
                    "belongs to no owner: move it into registry/<owner>/".to_owned(),
                );
            }
        }
        let mut policies = Vec::new();
        read_all(&dir.join(POLICIES), "cedar", &mut policies, &mut findings);
        compile(files, policies, options, findings)
    }

    /// The same from memory: `files` are (`…/<owner>/<name>.toml`, text), `policies` are (`<name>.cedar`, text).
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub fn from_parts(
        files: Vec<(PathBuf, String)>,
        policies: Vec<(PathBuf, String)>,
        options: &LoadOptions,
    ) -> Result<(Self, Vec<Lint>), LoadErrors> {
        compile(files, policies, options, Findings::default())
    }
}

fn compile(
    mut files: Vec<(PathBuf, String)>,
    mut policies: Vec<(PathBuf, String)>,
    options: &LoadOptions,
    mut findings: Findings,
) -> Result<(Registry, Vec<Lint>), LoadErrors> {
    files.sort();
    policies.sort();
    let version = version(&files, &policies, options);
    let sources = |files: Vec<(PathBuf, String)>| -> Vec<SourceFile> {
        let files = files.into_iter();
        files
            .map(|(path, text)| SourceFile::new(path, text))
            .collect()
    };
    let (files, policies) = (sources(files), sources(policies));
    let parse = |file| parse(file, &mut findings);
    let parsed: Vec<OwnedFile<'_>> = files.iter().filter_map(parse).collect();
    Compiler::new(options, findings).compile(&parsed, &policies, version)
}

fn parse<'a>(file: &'a SourceFile, findings: &mut Findings) -> Option<OwnedFile<'a>> {
    let top = Place::new(file, 0);
    let folder = file.path.parent().and_then(Path::file_name);
    let folder = folder.unwrap_or_default().to_string_lossy();
    let owner: Slug = match folder.parse() {
        Ok(owner) => owner,
        Err(error) => {
            findings.error(top, format!("the folder names the owner, but {error}"));
            return None;
        }
    };
    if file.text.trim().is_empty() {
        findings.error(top, "the file is empty: delete it if that is meant");
        return None;
    }
    match toml::from_str::<RegistryFile>(&file.text) {
        Ok(config) => Some(OwnedFile {
            owner,
            file,
            config,
        }),
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            findings.error(top.at(offset), error.message().replace('\n', ", "));
            None
        }
    }
}

/// The visible entries of a folder, in the order of their names.
fn entries(dir: &Path, findings: &mut Findings) -> Vec<PathBuf> {
    let listed = fs::read_dir(dir).and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
    });
    let mut paths = match listed {
        Ok(paths) => paths,
        Err(error) => {
            findings.unreadable(
                dir,
                format!("this folder is needed, even if it is empty: {error}"),
            );
            return Vec::new();
        }
    };
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default();
        !name.as_encoded_bytes().starts_with(b".")
    });
    paths.sort();
    if paths.len() > MAX_FILES {
        findings.unreadable(dir, format!("more than {MAX_FILES} entries"));
        paths.clear();
    }
    paths
}

fn read_all(
    dir: &Path,
    extension: &str,
    texts: &mut Vec<(PathBuf, String)>,
    findings: &mut Findings,
) {
    for path in entries(dir, findings) {
        if path.is_dir() {
            findings.unreadable(
                &path,
                "a folder here is not read: move its files up".to_owned(),
            );
        } else if has_extension(&path, extension) {
            if texts.len() == MAX_FILES {
                findings.unreadable(&path, format!("more than {MAX_FILES} files"));
                return;
            }
            match read(&path) {
                Ok(text) => texts.push((path, text)),
                Err(error) => findings.unreadable(&path, error),
            }
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("more than {MAX_FILE_BYTES} bytes: split the file"));
    }
    Ok(text)
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension == wanted)
}

/// The digest of everything that decisions depend on. Of a path only the last two parts count, so that replicas with
/// other mount points agree. Each part has its length before it, so that no two lists of parts look alike.
fn version(
    files: &[(PathBuf, String)],
    policies: &[(PathBuf, String)],
    options: &LoadOptions,
) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(b"dayfly registry 1");
    for (kind, sources) in [(REGISTRY, files), (POLICIES, policies)] {
        for (path, text) in sources {
            let folder = path.parent().and_then(Path::file_name);
            part(kind.as_bytes());
            if kind == REGISTRY {
                part(folder.unwrap_or_default().as_encoded_bytes());
            }
            part(path.file_name().unwrap_or_default().as_encoded_bytes());
            part(text.as_bytes());
        }
    }
    part(options.issuer.as_str().as_bytes());
    part(options.trust_domain.as_str().as_bytes());
    let mut lines: Vec<String> = options
        .sources
        .iter()
        .map(|info| format!("{} {:?} {}", info.source, info.preset, info.shared))
        .collect();
    lines.extend(options.admin_grants.iter().map(|grant| {
        let scopes: Vec<&str> = grant.scopes.iter().map(|scope| scope.as_str()).collect();
        let owner = grant.owner.as_ref().map_or("*", |owner| owner.as_str());
        format!("{} {owner} {}", grant.workload, scopes.join(" "))
    }));
    lines.push(format!("{:?}", options.limits));
    lines.sort();
    for line in lines {
        part(line.as_bytes());
    }
    let digest = hash.finalize();
    let bytes = digest.iter().take(VERSION_BYTES);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}
