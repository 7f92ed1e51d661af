use std::fmt;

/// Characters of a refused input that an error shows: enough to recognise it, too few to flood a log.
const MAX_CHARACTERS: usize = 64;

/// A refused input as an error may show it: escaped, so that it stays on one line of a log, and cut.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// The first 64 characters of `text`, escaped; `…` stands for the rest.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut characters = text.chars();
        let mut shown: String = characters
            .by_ref()
            .take(MAX_CHARACTERS)
            .flat_map(char::escape_debug)
            .collect();
        if characters.next().is_some() {
            shown.push('…');
        }
        Self(shown)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_and_short() {
        assert_eq!(Excerpt::of("a\n\u{1b}[31m").to_string(), "a\\n\\u{1b}[31m");
        let long = Excerpt::of(&"é".repeat(10_000)).to_string();
        assert_eq!(long.chars().count(), MAX_CHARACTERS + 1);
        assert!(long.ends_with('…'));
    }
}
