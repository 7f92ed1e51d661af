//! The arrows between the crates: what `crates/README.md` draws is what cargo sees.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::project;

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Outside the table: they may import anything, and nothing imports them.
const FREE: [&str; 2] = ["tests", "benches"];

pub(crate) fn check() -> anyhow::Result<()> {
    let map = std::fs::read_to_string(project::root().join("crates/README.md"))
        .context("crates/README.md cannot be read")?;
    let allowed = table(&map)?;
    let found = arrows(&project::metadata(&["--no-deps"])?)?;
    let mut faults = Vec::new();
    for (name, imports) in &found {
        if FREE.contains(&name.as_str()) {
            continue;
        }
        let Some(may) = allowed.get(name) else {
            faults.push(format!("`{name}` is not in the table of crates/README.md"));
            continue;
        };
        faults.extend(
            imports
                .difference(may)
                .map(|import| format!("`{name}` may not import `{import}`")),
        );
    }
    faults.extend(
        allowed
            .keys()
            .filter(|name| !found.contains_key(*name))
            .map(|name| format!("`{name}` stands in crates/README.md and does not exist")),
    );
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    Ok(())
}

/// The rows `| `name` | purpose | imports |` of the map.
fn table(map: &str) -> anyhow::Result<Arrows> {
    let mut arrows = Arrows::new();
    for line in map.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let (Some(name), Some(_), Some(imports)) = (cells.next(), cells.next(), cells.next())
        else {
            bail!("the row `{line}` needs three cells");
        };
        let imports = imports
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        arrows.insert(name.trim_matches('`').to_owned(), imports);
    }
    Ok(arrows)
}

/// The arrows by the folder's name, without dev-dependencies.
fn arrows(metadata: &Value) -> anyhow::Result<Arrows> {
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("no packages in metadata")?;
    let mut folders = BTreeMap::new();
    for package in packages {
        let text = |member| {
            package
                .get(member)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let folder = text("manifest_path").rsplit('/').nth(1).unwrap_or_default();
        folders.insert(text("name").to_owned(), folder.to_owned());
    }
    let mut arrows = Arrows::new();
    for package in packages {
        let name = package
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let dependencies = package.get("dependencies").and_then(Value::as_array);
        let imports = dependencies
            .into_iter()
            .flatten()
            .filter(|dependency| dependency.get("kind").and_then(Value::as_str) != Some("dev"))
            .filter_map(|dependency| dependency.get("name")?.as_str())
            .filter_map(|name| folders.get(name).cloned())
            .collect();
        arrows.insert(folders.get(name).cloned().unwrap_or_default(), imports);
    }
    Ok(arrows)
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn a_row_names_the_crate_and_what_it_imports() {
        let arrows =
            table("| crate | x | y |\n|---|---|---|\n| `keys` | some keys | `token`, `x` |\n")
                .unwrap();
        assert_eq!(arrows.len(), 1);
        assert_eq!(arrows["keys"].iter().collect::<Vec<_>>(), ["token", "x"]);
    }
}
