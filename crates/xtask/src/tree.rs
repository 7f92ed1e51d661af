//! What the verifier brings along: its README prints the tree, and this is what cargo says to that.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use toml::Table;

use crate::project::{output, root};

/// The default tree stays below: whoever embeds the crate has to trust each of them.
const LIMIT: usize = 60;

/// The tree is another on each platform; the README says that it is this one's.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The README of the verifier: the list below `## Dependencies`, and the last column of the table below `## Features`.
pub(crate) fn check() -> anyhow::Result<()> {
    let readme = std::fs::read_to_string(root().join("crates/verifier/README.md"))?;
    let manifest: Table = toml::from_str(&std::fs::read_to_string(
        root().join("crates/verifier/Cargo.toml"),
    )?)?;
    let tree = tree(&[])?;
    if tree.len() >= LIMIT {
        bail!(
            "the default tree of dayfly-verifier has {} crates, and stays under {LIMIT}",
            tree.len()
        );
    }
    compare(&readme, &tree)?;
    let mut rows = feature_rows(&readme)?;
    let features = manifest
        .get("features")
        .and_then(toml::Value::as_table)
        .context("dayfly-verifier has no features")?;
    for feature in features.keys().filter(|feature| *feature != "default") {
        let Some(said) = rows.remove(feature.as_str()) else {
            bail!("the feature `{feature}` is not in the table of crates/verifier/README.md");
        };
        let counted = tree_with(feature)?.len();
        if said != counted {
            bail!(
                "crates/verifier/README.md says that `{feature}` makes {said} crates, cargo says {counted}"
            );
        }
    }
    match rows.keys().next() {
        Some(feature) => {
            bail!("crates/verifier/README.md knows the feature `{feature}`, and there is none")
        }
        None => Ok(()),
    }
}

/// The one cryptographic backend takes the place of the other.
fn tree_with(feature: &str) -> anyhow::Result<Vec<String>> {
    match feature {
        "rustcrypto" => tree(&["--no-default-features", "--features", feature]),
        _ => tree(&["--features", feature]),
    }
}

/// The names of the crates that are linked besides the verifier, sorted; one that is there in two versions twice.
fn tree(features: &[&str]) -> anyhow::Result<Vec<String>> {
    let fixed = [
        "tree",
        "--locked",
        "--package",
        "dayfly-verifier",
        "--edges",
        "normal",
        "--target",
        TARGET,
        "--prefix",
        "none",
        "--format",
        "{p}",
    ];
    output(&[&fixed, features].concat()).map(|tree| names(&tree))
}

/// The lines are `name version`, with a path behind where it is ours, and many of them are there more than once.
fn names(tree: &str) -> Vec<String> {
    let mut packages: Vec<_> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?))
        })
        .filter(|(name, _)| *name != "dayfly-verifier")
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
        .into_iter()
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn compare(readme: &str, tree: &[String]) -> anyhow::Result<()> {
    let section = section(readme, "## Dependencies")?;
    let printed: Vec<_> = section
        .split_once("```text\n")
        .and_then(|(_, rest)| rest.split_once("```"))
        .context("no list of crates below `## Dependencies`")?
        .0
        .split_whitespace()
        .collect();
    let count = format!("{} crates", tree.len());
    if printed != tree || !section.contains(&count) {
        bail!(
            "crates/verifier/README.md prints another tree than cargo; it is, with {count}:\n{}",
            tree.join(" ")
        );
    }
    Ok(())
}

/// Feature and number of crates, from the rows ``| `feature` … | what | number |``.
fn feature_rows(readme: &str) -> anyhow::Result<BTreeMap<&str, usize>> {
    let mut rows = BTreeMap::new();
    for line in section(readme, "## Features")?.lines() {
        let Some(row) = line.strip_prefix("| `") else {
            continue;
        };
        let (feature, rest) = row
            .split_once('`')
            .with_context(|| format!("`{line}` names no feature"))?;
        let count = rest
            .trim_end_matches(['|', ' '])
            .rsplit('|')
            .next()
            .unwrap_or_default();
        let count = count
            .trim()
            .parse()
            .with_context(|| format!("no number of crates in `{line}`"))?;
        rows.insert(feature, count);
    }
    Ok(rows)
}

fn section<'a>(text: &'a str, heading: &str) -> anyhow::Result<&'a str> {
    let (_, rest) = text
        .split_once(&format!("\n{heading}\n"))
        .with_context(|| format!("no `{heading}` in crates/verifier/README.md"))?;
    Ok(rest.split("\n## ").next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
dayfly-verifier v0.1.0 (/home/me/dayfly/crates/verifier)
dayfly-token v0.1.0 (/home/me/dayfly/crates/token)
syn v3.0.10
syn v2.0.119
dayfly-token v0.1.0 (/home/me/dayfly/crates/token) (*)
serde_derive v1.0.229 (proc-macro)
syn v3.0.10 (*)
";

    const README: &str = "
## Features

| feature | what | crates |
|---|---|---|
| `aws-lc` (default) | fast | 4 |
| `http` | `a|b` | 12 |

## Dependencies

4 crates:

```text
dayfly-token serde_derive
syn syn
```

## More
";

    #[test]
    fn each_version_counts_once_and_the_verifier_does_not() {
        assert_eq!(names(TREE), ["dayfly-token", "serde_derive", "syn", "syn"]);
    }

    #[test]
    fn the_readme_prints_what_cargo_says() {
        let tree = names(TREE);
        compare(README, &tree).unwrap();
        for other in [
            README.replace("syn syn", "syn"),
            README.replace("serde_derive", "serde"),
            README.replace("4 crates", "5 crates"),
            README.replace("```text", "```"),
            README.replace("## Dependencies", "## Others"),
        ] {
            assert!(compare(&other, &tree).is_err(), "{other}");
        }
    }

    #[test]
    fn a_feature_and_its_number() {
        let rows = feature_rows(README).unwrap();
        assert_eq!(rows, BTreeMap::from([("aws-lc", 4), ("http", 12)]));
        assert!(feature_rows(&README.replace(" 12 |", " many |")).is_err());
    }
}
