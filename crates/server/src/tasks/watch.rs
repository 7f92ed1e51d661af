//! Watching the folders of what can be reloaded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::reload::Reloader;
use crate::config::Config;

/// Quiet that must follow a change: an editor or a deployment writes several files.
const QUIET: Duration = Duration::from_millis(300);

/// A reload comes at the latest so long after a change, even if changes never stop.
const LATEST: Duration = Duration::from_secs(3);

/// What is watched: files by name in their folders, and whole folders. A folder is watched rather
/// than its files, because files are replaced by others of the same name, and Kubernetes swaps a
/// symbolic link beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Watched {
    files: BTreeSet<PathBuf>,
    trees: BTreeSet<PathBuf>,
}

/// Reloads after changes until the task is aborted.
pub(crate) async fn follow(reloader: Arc<Reloader>) {
    let changed = Arc::new(Notify::new());
    let look = || {
        let file = reloader.file().map(PathBuf::as_path);
        watch(Watched::of(&reloader.app().config(), file), &changed)
    };
    let mut watcher = look();
    loop {
        changed.notified().await;
        let settle = async {
            while tokio::time::timeout(QUIET, changed.notified())
                .await
                .is_ok()
            {}
        };
        let _ = tokio::time::timeout(LATEST, settle).await;
        tracing::info!("files have changed, reloading");
        // A folder may be another folder of the same name by now: look again before reading.
        watcher = renewed(watcher, look());
        Reloader::reload(&reloader).await;
        // And after it, because the configuration may name other files.
        watcher = renewed(watcher, look());
    }
}

/// The new one is there before the old one goes, so that nothing is missed between them.
fn renewed(
    old: Option<RecommendedWatcher>,
    new: Option<RecommendedWatcher>,
) -> Option<RecommendedWatcher> {
    drop(old);
    new
}

fn watch(watched: Watched, changed: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let (what, notify) = (watched.clone(), Arc::clone(changed));
    let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        match event {
            Ok(event) if what.concerns(&event) => notify.notify_one(),
            Ok(_) => {}
            // What was lost may have mattered.
            Err(_) => notify.notify_one(),
        }
    });
    let mut watcher = match made {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::error!(%error, "files are not watched; reload with SIGHUP");
            return None;
        }
    };
    let files = watched.files.iter().chain(&watched.trees);
    let folders = files.filter_map(|file| file.parent());
    let folders: BTreeSet<&Path> = folders.collect();
    let flat = folders
        .into_iter()
        .map(|path| (path, RecursiveMode::NonRecursive));
    let deep = watched
        .trees
        .iter()
        .map(|path| (path.as_path(), RecursiveMode::Recursive));
    for (path, mode) in flat.chain(deep) {
        if let Err(error) = watcher.watch(path, mode) {
            tracing::error!(%error, path = %path.display(), "not watched; reload with SIGHUP");
        }
    }
    Some(watcher)
}

impl Watched {
    fn of(config: &Config, file: Option<&Path>) -> Self {
        let mut files: BTreeSet<PathBuf> = file.map(Path::to_owned).into_iter().collect();
        files.insert(config.tls.cert_file.clone());
        files.insert(config.tls.key_file.clone());
        files.extend(
            config
                .trust_domain_bundle
                .iter()
                .map(|bundle| bundle.file.clone()),
        );
        for issuer in &config.oidc_issuer {
            files.extend(issuer.jwks_file.clone());
            files.extend(issuer.ca_file.clone());
        }
        let trees = ["registry", "policies"].map(|name| config.policy_dir.join(name));
        Self {
            files: files.iter().map(|file| absolute(file)).collect(),
            trees: trees.map(|t| absolute(&t)).into(),
        }
    }

    fn concerns(&self, event: &notify::Event) -> bool {
        let read = matches!(event.kind, EventKind::Access(_))
            && event.kind != EventKind::Access(AccessKind::Close(AccessMode::Write));
        !read && event.paths.iter().any(|path| self.names(path))
    }

    fn names(&self, path: &Path) -> bool {
        self.files.contains(path)
            || self.trees.iter().any(|tree| path.starts_with(tree))
            // The link that Kubernetes swaps when it updates a mounted volume.
            || path.file_name().is_some_and(|name| name == "..data")
    }
}

/// Events come with absolute paths.
fn absolute(path: &Path) -> PathBuf {
    let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
    match (parent, path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use notify::Event;
    use notify::event::{CreateKind, ModifyKind};

    use super::*;

    fn watched() -> Watched {
        Watched {
            files: ["/etc/dayfly/tls.crt".into()].into(),
            trees: ["/etc/dayfly/registry".into()].into(),
        }
    }

    fn event(kind: EventKind, path: &str) -> Event {
        Event::new(kind).add_path(path.into())
    }

    #[test]
    fn changes_count_and_reads_do_not() {
        let modified = EventKind::Modify(ModifyKind::Any);
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let opened = EventKind::Access(AccessKind::Open(AccessMode::Read));
        let created = EventKind::Create(CreateKind::File);
        for (kind, path, counts) in [
            (modified, "/etc/dayfly/tls.crt", true),
            (written, "/etc/dayfly/registry/payments/a.toml", true),
            (created, "/etc/dayfly/..data", true),
            (opened, "/etc/dayfly/tls.crt", false),
            (modified, "/etc/dayfly/audit.jsonl", false),
        ] {
            assert_eq!(watched().concerns(&event(kind, path)), counts, "{path}");
        }
    }
}
