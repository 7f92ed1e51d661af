//! Samples and documents that people copy from are read by the readers that they are for.

use std::path::{Path, PathBuf};

use dayfly_policy::{LoadOptions, Preset, Registry, Source, SourceInfo};

use super::root;

/// All files below a folder with this extension.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_sample_of_a_main_file_is_read() {
    for path in files(&root().join("deploy/samples"), "toml") {
        let in_registry = path.components().any(|part| part.as_os_str() == "registry");
        if !in_registry {
            dayfly_server::config::Config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        }
    }
}

#[test]
fn every_sample_of_a_registry_is_compiled() {
    let samples = root().join("deploy/samples/registry");
    let mut compiled = 0;
    for entry in std::fs::read_dir(&samples).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let options = LoadOptions {
            issuer: "https://sts.example.org".parse().unwrap(),
            trust_domain: "sts.example.org".parse().unwrap(),
            sources: sources_of(&folder),
            admin_grants: Vec::new(),
            limits: dayfly_policy::Limits::default(),
        };
        let loaded = Registry::load(&folder, &options);
        assert!(
            loaded.is_ok(),
            "{}: {:?}",
            folder.display(),
            loaded.err().map(|errors| errors.to_string())
        );
        compiled += 1;
    }
    assert!(compiled >= 2, "{compiled} samples");
}

/// The sources that the rules of a registry name, as a main file would configure them.
fn sources_of(folder: &Path) -> Vec<SourceInfo> {
    let mut sources: Vec<SourceInfo> = Vec::new();
    let mut add = |source: Source, preset: Option<Preset>| {
        if sources.iter().all(|known| known.source != source) {
            sources.push(SourceInfo {
                source,
                preset,
                shared: preset == Some(Preset::Github),
            });
        }
    };
    for path in files(folder, "toml") {
        let file: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let workloads = file
            .get("workload")
            .and_then(toml::Value::as_array)
            .cloned()
            .unwrap_or_default();
        let rules = workloads
            .iter()
            .filter_map(|workload| workload.get("rule")?.as_array());
        for rule in rules.flatten() {
            match (rule.get("issuer"), rule.get("trust_domain")) {
                (Some(name), _) => {
                    let name = name.as_str().unwrap();
                    let preset = if name == "github" {
                        Preset::Github
                    } else {
                        Preset::Custom
                    };
                    add(Source::Issuer(name.parse().unwrap()), Some(preset));
                }
                (None, Some(name)) => add(
                    Source::TrustDomain(name.as_str().unwrap().parse().unwrap()),
                    None,
                ),
                (None, None) => panic!("a rule without a source: {rule}"),
            }
        }
    }
    sources
}

/// The documents for people.
fn documents() -> Vec<(PathBuf, String)> {
    let mut documents = files(&root().join("crates"), "md");
    documents.extend(files(&root().join("deploy"), "md"));
    documents.extend([root().join("README.md"), root().join("SECURITY.md")]);
    documents
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// The configuration that a document shows is one that the server reads.
#[test]
fn documents_show_configuration_that_works() {
    for (document, text) in documents() {
        for block in text
            .split("```toml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
        {
            let shown = format!("{}:\n{block}", document.display());
            let table: toml::Table = block
                .parse()
                .unwrap_or_else(|error| panic!("{error} in {shown}"));
            if table.contains_key("issuer") && table.contains_key("trust_domain") {
                let read = dayfly_server::config::Config::parse(block, &document, Path::new("."));
                assert!(read.is_ok(), "{:?} in {shown}", read.err());
            }
        }
    }
}

/// Files that are named in the documents for people exist.
#[test]
fn documents_link_to_what_is_there() {
    for (document, text) in documents() {
        let folder = document.parent().unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = link.split('#').next().unwrap();
            let elsewhere = path.is_empty()
                || path.contains("://")
                || path.contains("::")
                || path.starts_with("mailto:");
            if !elsewhere && (path.contains('/') || path.contains('.')) {
                assert!(
                    folder.join(path).exists(),
                    "{} links to {path}",
                    document.display()
                );
            }
        }
    }
}
