//! Where a key stands in the file.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line of each key of a TOML document, by its dotted path: `oidc_issuer[1].jwks_file`.
pub(super) struct Places {
    lines: BTreeMap<String, usize>,
    texts: BTreeMap<String, String>,
}

impl Places {
    pub(super) fn none() -> Self {
        Self {
            lines: BTreeMap::new(),
            texts: BTreeMap::new(),
        }
    }

    pub(super) fn read(text: &str) -> Result<Self, toml::de::Error> {
        let table = DeTable::parse(text)?;
        let mut places = Self::none();
        places.table(text, "", table.get_ref());
        Ok(places)
    }

    /// The line of a key, or of the nearest thing around it that has one.
    pub(super) fn line_of(&self, key: &str) -> Option<usize> {
        let mut key = key;
        loop {
            if let Some(line) = self.lines.get(key) {
                return Some(*line);
            }
            key = key.rfind(['.', '[']).and_then(|at| key.get(..at))?;
        }
    }

    /// The keys that are set, with their text if they are strings.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.lines
            .keys()
            .map(|key| (key.as_str(), self.texts.get(key).map(String::as_str)))
    }

    fn table(&mut self, text: &str, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = match prefix {
                "" => key.get_ref().to_string(),
                _ => format!("{prefix}.{}", key.get_ref()),
            };
            self.lines
                .insert(path.clone(), line_at(text, key.span().start));
            self.value(text, &path, value);
        }
    }

    fn value(&mut self, text: &str, path: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(text, path, table),
            DeValue::Array(array) => {
                for (n, item) in array.iter().enumerate() {
                    let path = format!("{path}[{n}]");
                    self.lines
                        .insert(path.clone(), line_at(text, item.span().start));
                    self.value(text, &path, item);
                }
            }
            DeValue::String(string) => {
                self.texts.insert(path.to_owned(), string.to_string());
            }
            _ => {}
        }
    }
}

/// The line, counted from 1, of a byte offset.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_line_of_nested_keys_and_of_array_items() {
        let places = Places::read(
            "a = 1\n[ledger]\nredis = \"x\"\n\n[[oidc_issuer]]\nname = \"a\"\n[[oidc_issuer]]\nname = \"b\"\nalgorithms = [\n \"RS256\",\n \"HS256\"]\n",
        )
        .unwrap();
        assert_eq!(places.line_of("a"), Some(1));
        assert_eq!(places.line_of("ledger.redis"), Some(3));
        assert_eq!(places.line_of("ledger.cluster_secret_file"), Some(2));
        assert_eq!(places.line_of("oidc_issuer[1].name"), Some(8));
        assert_eq!(places.line_of("oidc_issuer[1].algorithms[1]"), Some(11));
        assert_eq!(places.line_of("nothing"), None);
    }
}
