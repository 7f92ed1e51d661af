//! The command line, run as anybody runs it.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use super::process::binary;

/// A `dayfly` command that is put together.
#[derive(Clone, Debug, Default)]
pub struct Cli {
    args: Vec<String>,
    environment: Vec<(String, String)>,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Printed {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Cli {
    /// A command with what every call needs: an issuer and its CA.
    pub fn at(issuer: &str, ca_file: &Path) -> Self {
        Self::default()
            .args(["--issuer", issuer])
            .arg("--ca-file")
            .arg(ca_file)
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<Path>) -> Self {
        self.args.push(arg.as_ref().to_str().unwrap().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(str::to_owned));
        self
    }

    /// A variable of the environment, which has nothing of dayfly otherwise.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it to its end.
    pub async fn run(&self) -> Printed {
        self.run_with("").await
    }

    /// Runs it to its end, with something on standard input.
    pub async fn run_with(&self, stdin: &str) -> Printed {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut child = tokio::process::Command::new(binary())
            .args(&self.args)
            .env_clear()
            .env("PATH", path)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        // A command that does not read its input may have closed it.
        drop(input.write_all(stdin.as_bytes()).await);
        drop(input);
        let output = child.wait_with_output().await.unwrap();
        Printed {
            code: output.status.code().expect("an exit status"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs it with `-o json`, and gives the object that it printed.
    pub async fn json(&self, code: i32) -> Value {
        self.json_with("", code).await
    }

    /// The same with something on standard input.
    pub async fn json_with(&self, stdin: &str, code: i32) -> Value {
        let printed = self.clone().args(["-o", "json"]).run_with(stdin).await;
        assert_eq!(printed.code, code, "{self:?}: {printed:?}");
        serde_json::from_str(&printed.stdout).unwrap_or_else(|error| panic!("{error}: {printed:?}"))
    }
}

impl Printed {
    /// The standard output of a command that did its work.
    #[track_caller]
    pub fn done(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout.trim_end()
    }
}
