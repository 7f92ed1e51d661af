//! Files that are files.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Opens a file to be read. A pipe in its place would keep the start or a reload waiting for a
/// writer, for ever, and a device may never end.
pub(super) fn open(path: &Path) -> Result<File> {
    if std::fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(Error::new(
            ErrorKind::InvalidInput,
            "it is not a regular file",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .args(["-m", "600"])
            .arg(&pipe)
            .status();
        assert!(made.unwrap().success());
        let (done, answer) = std::sync::mpsc::channel();
        let path = pipe.clone();
        std::thread::spawn(move || {
            let _ = done.send((
                crate::config::read_pem(&path).is_err(),
                crate::config::read_secret(&path).is_err(),
                crate::config::Config::load(&path).is_err(),
            ));
        });
        let within = std::time::Duration::from_secs(10);
        assert_eq!(answer.recv_timeout(within), Ok((true, true, true)));
        assert!(open(dir.path()).is_err());
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, dir.path().join("link")).unwrap();
        assert!(open(&dir.path().join("link")).is_ok());
    }
}
