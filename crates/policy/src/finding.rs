//! What loading has to say: a file, a line, and what to write instead.

use std::fmt;
use std::path::{Path, PathBuf};

/// One remark on the sources.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lint {
    /// The file; empty for the main file, whose text is not ours.
    pub file: PathBuf,
    /// The line, from 1, if there is one to point at.
    pub line: Option<usize>,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.as_os_str().is_empty() {
            f.write_str("main file")?;
        } else {
            write!(f, "{}", self.file.display())?;
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Everything that keeps the sources from being used, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadErrors(pub Vec<Lint>);

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}

/// A file with its text, so that an offset becomes a line.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// Where its lines end: a broken file may have a remark on each of them.
    ends: Vec<usize>,
}

impl SourceFile {
    pub(crate) fn new(path: PathBuf, text: String) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end).collect();
        Self { path, text, ends }
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.ends.partition_point(|end| *end < offset)
    }
}

/// A place in a source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    source: Option<(&'a SourceFile, usize)>,
}

impl<'a> Place<'a> {
    /// Somewhere in the main file, which somebody else reads.
    pub(crate) const MAIN_FILE: Self = Self { source: None };

    pub(crate) const fn new(file: &'a SourceFile, offset: usize) -> Self {
        Self {
            source: Some((file, offset)),
        }
    }

    /// Another place in the same file.
    pub(crate) fn at(self, offset: usize) -> Self {
        Self {
            source: self.source.map(|(file, _)| (file, offset)),
        }
    }

    fn lint(self, message: String) -> Lint {
        Lint {
            file: self
                .source
                .map_or_else(PathBuf::new, |(file, _)| file.path.clone()),
            line: self.source.map(|(file, offset)| file.line(offset)),
            message,
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Some((file, offset)) => write!(f, "{}:{}", file.path.display(), file.line(offset)),
            None => f.write_str("the main file"),
        }
    }
}

/// The remarks so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    errors: Vec<Lint>,
    warnings: Vec<Lint>,
}

impl Findings {
    pub(crate) fn error(&mut self, place: Place<'_>, message: impl Into<String>) {
        self.errors.push(place.lint(message.into()));
    }

    pub(crate) fn warn(&mut self, place: Place<'_>, message: impl Into<String>) {
        self.warnings.push(place.lint(message.into()));
    }

    /// An error of a file that could not be read as text at all.
    pub(crate) fn unreadable(&mut self, path: &Path, message: String) {
        self.errors.push(Lint {
            file: path.to_owned(),
            line: None,
            message,
        });
    }

    /// The warnings, or everything that is wrong.
    pub(crate) fn finish(mut self) -> Result<Vec<Lint>, LoadErrors> {
        if self.errors.is_empty() {
            self.warnings.sort();
            self.warnings.dedup();
            return Ok(self.warnings);
        }
        self.errors.sort();
        self.errors.dedup();
        Err(LoadErrors(self.errors))
    }
}
