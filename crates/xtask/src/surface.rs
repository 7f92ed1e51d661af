//! The public surface of the published crates, as text under `api/surface/`: what is removed, renamed, added or changed there
//! is a line in somebody's diff.
//!
//! It is read off the sources, which rustfmt keeps in one form; the lint `unreachable_pub` sees to it that what says `pub` is
//! public. It knows no types, so it does not take the place of cargo-semver-checks, which needs a published version to
//! compare with.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::project::root;

/// What others depend on.
const CRATES: [&str; 4] = ["client", "keys", "token", "verifier"];

/// Compares, or writes anew.
pub(crate) fn check(bless: bool) -> anyhow::Result<()> {
    for name in CRATES {
        let path = root().join("api/surface").join(format!("{name}.txt"));
        let now = surface(&root().join("crates").join(name).join("src"))?;
        if bless {
            std::fs::write(&path, now)?;
            continue;
        }
        let then = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(difference) = difference(&then, &now) {
            bail!(
                "the public surface of dayfly-{name} has changed:\n{difference}\
                 if that is meant, say it in its CHANGELOG.md and run `cargo xtask generate`"
            );
        }
    }
    Ok(())
}

/// The lines that went and came; the order is that of the files, so a move is no change of the surface.
fn difference(then: &str, now: &str) -> Option<String> {
    if then == now {
        return None;
    }
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (then.lines().collect(), now.lines().collect());
    let mut text = String::new();
    for line in old.difference(&new) {
        let _ = writeln!(text, "- {line}");
    }
    for line in new.difference(&old) {
        let _ = writeln!(text, "+ {line}");
    }
    if text.is_empty() {
        text.push_str("the same lines in another order\n");
    }
    Some(text)
}

fn surface(folder: &Path) -> anyhow::Result<String> {
    let mut texts = Vec::new();
    for path in sources(folder)? {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let name = path.strip_prefix(folder)?.display().to_string();
        texts.push((name, items(&text)));
    }
    let types: BTreeSet<String> = texts
        .iter()
        .flat_map(|(_, items)| items)
        .filter_map(Item::declares)
        .collect();
    let mut surface = String::new();
    for (name, items) in &texts {
        let lines = shown(items, &types);
        if !lines.is_empty() {
            let _ = writeln!(surface, "# {name}");
        }
        for line in lines {
            let _ = writeln!(surface, "{line}");
        }
    }
    Ok(surface)
}

/// What is public of a file, without blocks that have nothing public.
fn shown<'a>(items: &'a [Item], types: &BTreeSet<String>) -> Vec<&'a str> {
    let shown: Vec<_> = items
        .iter()
        .filter(|item| item.is_shown(types))
        .map(|item| item.0.as_str())
        .collect();
    let has_body = |at: usize| shown.get(at + 1).is_some_and(|next| next.starts_with(' '));
    let own = |line: &str| line.starts_with("impl") && !line.contains(" for ");
    let kept = shown.iter().enumerate();
    kept.filter(|(at, line)| !own(line) || has_body(*at))
        .map(|(_, line)| *line)
        .collect()
}

/// The sources in order, without tests and without the manual, which is text alone.
fn sources(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "tests" && name != "manual" {
            paths.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs"
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// One item in one line: attributes that matter, then what stands before its body.
#[derive(Debug, PartialEq, Eq)]
struct Item(String);

impl Item {
    /// The name of the type that it declares.
    fn declares(&self) -> Option<String> {
        let (_, rest) = self.0.split_once("pub ")?;
        let rest = ["struct ", "enum ", "trait "]
            .iter()
            .find_map(|kind| rest.strip_prefix(kind))?;
        Some(identifier(rest).to_owned())
    }

    /// Everything but the implementations for types that are not public.
    fn is_shown(&self, types: &BTreeSet<String>) -> bool {
        if !self.0.starts_with("impl") {
            return true;
        }
        let of = self.0.split(" for ").last().unwrap_or_default();
        let of = of.split(" where").next().unwrap_or_default();
        // `impl<T> Caller<T>` names its type behind the parameters.
        let of = of.strip_prefix("impl").unwrap_or(of);
        of.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .any(|word| !word.is_empty() && types.contains(word))
    }
}

fn identifier(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

fn items(source: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut attributes = String::new();
    let mut lines = source.lines().peekable();
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        let depth = line.len() - trimmed.len();
        let mut whole = trimmed.to_owned();
        if trimmed.starts_with("#[") {
            while !whole.ends_with(']') {
                let Some(next) = lines.next() else { break };
                let _ = write!(whole, " {}", next.trim());
            }
            if whole == "#[cfg(test)]" && depth == 0 {
                // Tests stand last in a file; a module of them in a file of its own does not.
                match lines.next() {
                    Some(next) if next.ends_with('{') => break,
                    _ => continue,
                }
            }
            if ["#[derive", "#[non_exhaustive", "#[cfg(feature", "#[cfg(any"]
                .iter()
                .any(|kept| whole.starts_with(kept))
            {
                let _ = write!(attributes, "{whole} ");
            }
            continue;
        }
        if trimmed.starts_with("//") {
            continue;
        }
        let public = trimmed.starts_with("pub ");
        let implementation =
            depth == 0 && (trimmed.starts_with("impl ") || trimmed.starts_with("impl<"));
        if public || implementation {
            while !is_whole(&whole) {
                let Some(next) = lines.next() else { break };
                let _ = write!(whole, " {}", next.trim());
            }
            let indent = " ".repeat(depth);
            items.push(Item(format!("{indent}{attributes}{}", head(&whole))));
            // What a public enum or trait has needs no `pub` of its own.
            if depth == 0
                && (whole.starts_with("pub enum") || whole.starts_with("pub trait"))
                && whole.ends_with('{')
            {
                for line in lines.by_ref().take_while(|line| *line != "}") {
                    let inner = line.trim();
                    if !inner.is_empty() && !inner.starts_with("//") && !inner.starts_with("#[") {
                        items.push(Item(line.to_owned()));
                    }
                }
            }
        }
        attributes.clear();
    }
    items
}

/// Whether the head of an item has come to its end: a field has a comma there, everything else a body or a semicolon.
fn is_whole(text: &str) -> bool {
    if text.starts_with("pub use") {
        return text.ends_with(';');
    }
    let count = |wanted: &[char]| text.matches(wanted).count();
    let closed = count(&['(', '[']) == count(&[')', ']']);
    let field = text.starts_with("pub ")
        && !["fn ", "struct ", "enum ", "trait ", "const ", "type "]
            .iter()
            .any(|kind| text.contains(kind));
    closed && (text.ends_with([';', '{', '}']) || field && text.ends_with(','))
}

/// Without the body, and without what breaking a long line has left.
fn head(text: &str) -> String {
    let text = match text.split_once(" = ") {
        // Values of constants may change.
        Some((head, _)) if text.starts_with("pub const") || text.starts_with("pub static") => head,
        _ => text,
    };
    let text = match text.find(" {") {
        Some(at) if !text.starts_with("pub use") => text.get(..at).unwrap_or(text),
        _ => text,
    };
    text.trim_end_matches([';', ',', ' '])
        .replace("( ", "(")
        .replace(", )", ")")
        .replace("{ ", "{")
        .replace(", }", "}")
        .replace(" }", "}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
//! Text.
mod inner;
pub use inner::{
    A,
    B,
};

/// A thing.
#[derive(Clone)]
#[must_use]
#[non_exhaustive]
pub struct Thing {
    /// Shown.
    pub name: String,
    hidden: u8,
}

pub const LIMIT: usize = 5;

pub enum Kind {
    /// One.
    One,
    Two { secs: u64 },
}

struct Private;

impl Private {
    fn new() {}
}

impl Drop for Private {
    fn drop(&mut self) {}
}

impl<'a> From<&'a str> for Thing {
    fn from(name: &str) -> Self {
        Self { name }
    }
}

impl Thing {
    /// Makes one.
    #[cfg(feature = "x")]
    pub const fn new(
        name: &str,
        other: u8,
    ) -> Self {
        Self { name }
    }
    pub(crate) fn secret(&self) {}
    fn own(&self) {}
}

#[cfg(test)]
mod tests {
    pub fn nothing() {}
}
"#;

    fn public(source: &str) -> Vec<String> {
        let items = items(source);
        let types = items.iter().filter_map(Item::declares).collect();
        let lines = shown(&items, &types);
        lines.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_public_and_nothing_else() {
        assert_eq!(
            public(SOURCE),
            [
                "pub use inner::{A, B}",
                "#[derive(Clone)] #[non_exhaustive] pub struct Thing",
                "    pub name: String",
                "pub const LIMIT: usize",
                "pub enum Kind",
                "    One,",
                "    Two { secs: u64 },",
                "impl<'a> From<&'a str> for Thing",
                "impl Thing",
                "    #[cfg(feature = \"x\")] pub const fn new(name: &str, other: u8) -> Self",
            ]
        );
    }

    #[test]
    fn a_change_is_told() {
        let then = public(SOURCE).join("\n");
        assert_eq!(difference(&then, &then), None);
        for (from, to) in [
            ("other: u8", "other: u16"),
            ("    One,\n", ""),
            ("#[non_exhaustive]\n", ""),
            ("pub name", "name"),
        ] {
            let changed = SOURCE.replacen(from, to, 1);
            assert!(changed != SOURCE);
            let now = public(&changed).join("\n");
            assert!(difference(&then, &now).is_some(), "{from}");
        }
        let body = SOURCE.replace("Self { name }", "Self { other }");
        assert_eq!(difference(&then, &public(&body).join("\n")), None);
    }
}
