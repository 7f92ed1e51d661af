//! The file of the embedded store: crashes, damage, access.

use std::io::{BufRead, BufReader, Stdout, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dayfly_issuer::{Clock, Ledger, LedgerError, Now};
use dayfly_ledger::{AuditCaps, EmbeddedLedger, OpenError};
use dayfly_token::CredentialId;
use tempfile::TempDir;

use crate::draft::{Draft, entry, fresh, now, unix_ms};

/// Names the directory that a child process commits into.
const CHILD: &str = "DAYFLY_LEDGER_TEST_CHILD";

/// Names the directory of a child process whose disk gets full.
const FULL_DISK: &str = "DAYFLY_LEDGER_TEST_FULL_DISK";

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_is_there_after_a_restart() {
    let parent = TempDir::new().unwrap();
    let directory = parent.path().join("a/ledger");
    let draft = Draft::once(fresh());
    let (before, secret) = {
        let ledger = EmbeddedLedger::open(&directory).unwrap();
        ledger.record(draft.commit()).await.unwrap();
        ledger
            .write_control(1, &[entry("key:a", "A")])
            .await
            .unwrap();
        ledger.raise_generation(1, now()).await.unwrap();
        (
            ledger.load_control().await.unwrap(),
            ledger.cluster_secret(),
        )
    };
    let ledger = EmbeddedLedger::open(&directory).unwrap();
    let after = ledger.load_control().await.unwrap();
    assert_eq!(after.generation, 2);
    assert_eq!(after.generation_since, before.generation_since);
    assert_eq!(after.identity, before.identity);
    assert_eq!(after.position, before.position);
    assert_eq!(after.entries, before.entries);
    assert_eq!(ledger.cluster_secret(), secret);
    assert_ne!(*secret, [0; 32]);
    let read = ledger.issuance(draft.id()).await.unwrap();
    assert_eq!(read, Some(draft.issuance.clone()));
    let mut again = Draft::new();
    again.replay = draft.replay;
    let refused = ledger.record(again.commit_in(2)).await;
    assert!(matches!(refused, Err(LedgerError::Replayed)), "{refused:?}");
    ledger
        .follow_control(&before.position, Duration::ZERO)
        .await
        .unwrap();

    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("ledger.redb")), 0o600);
    assert_eq!(mode(&directory.join("cluster-secret")), 0o600);
    let other = EmbeddedLedger::open(&parent.path().join("b")).unwrap();
    assert_ne!(other.cluster_secret(), secret);
}

#[tokio::test]
async fn a_second_opener_is_refused() {
    let directory = TempDir::new().unwrap();
    let _ledger = EmbeddedLedger::open(directory.path()).unwrap();
    let refused = EmbeddedLedger::open(directory.path());
    assert!(
        matches!(refused, Err(OpenError::AlreadyOpen { .. })),
        "{refused:?}"
    );
}

/// Not a test by itself: what the child of the test below does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_commits_until_it_is_killed() {
    let Some(directory) = std::env::var_os(CHILD) else {
        return;
    };
    let ledger = EmbeddedLedger::open(Path::new(&directory)).unwrap();
    let said = Arc::new(Mutex::new(std::io::stdout()));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        workers.spawn(commit_for_ever(ledger.clone(), said.clone()));
    }
    workers.join_all().await;
}

async fn commit_for_ever(ledger: EmbeddedLedger, said: Arc<Mutex<Stdout>>) {
    loop {
        let draft = Draft::new();
        ledger.record(draft.commit()).await.unwrap();
        let mut said = said.lock().unwrap();
        writeln!(said, "\nrecorded {}", draft.id()).unwrap();
        said.flush().unwrap();
    }
}

/// Bounds the files that this process may write, as a disk that is full does.
fn files_may_have(bytes: Option<u64>) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    setrlimit(Resource::Fsize, limit).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_whose_disk_is_full_for_a_while() {
    let Some(directory) = std::env::var_os(FULL_DISK) else {
        return;
    };
    let ledger = EmbeddedLedger::open(Path::new(&directory)).unwrap();
    let before = Draft::new();
    ledger.record(before.commit()).await.unwrap();
    files_may_have(Some(1));
    for _ in 0..3 {
        let refused = ledger.record(Draft::new().commit()).await;
        assert!(
            matches!(refused, Err(LedgerError::Unavailable { .. })),
            "{refused:?}"
        );
    }
    // Long enough that the file is closed, and cannot be opened again.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    files_may_have(None);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while ledger.record(Draft::new().commit()).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "it does not heal");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let read = ledger.issuance(before.id()).await.unwrap();
    assert_eq!(read, Some(before.issuance.clone()));
    println!("healed");
}

#[test]
fn a_disk_that_was_full_needs_no_restart() {
    let directory = TempDir::new().unwrap();
    // The signal of a file that is too large would end the child.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["child_whose_disk_is_full_for_a_while", "--nocapture"])
        .env(FULL_DISK, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let complained = String::from_utf8_lossy(&child.stderr);
    assert!(said.contains("healed"), "{said}{complained}");
}

/// kill -9 at any moment: whatever was acknowledged is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    let directory = TempDir::new().unwrap();
    let mut acknowledged: Vec<CredentialId> = Vec::new();
    for round in 0..4_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "embedded::child_that_commits_until_it_is_killed"])
            .args(["--nocapture", "--test-threads", "1"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let until = acknowledged.len() + 150 + 37 * usize::try_from(round).unwrap();
        for line in lines {
            if let Some(id) = line.unwrap().strip_prefix("recorded ") {
                acknowledged.push(id.parse().unwrap());
            }
            if acknowledged.len() == until {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged.len() >= until, "the child ended by itself");
        let ledger = EmbeddedLedger::open(directory.path()).unwrap();
        for id in &acknowledged {
            assert!(ledger.issuance(*id).await.unwrap().is_some());
        }
        // And it can be written to.
        ledger.record(Draft::new().commit()).await.unwrap();
    }
}

/// Every way in which a file may be cut or altered ends in an answer, and never in a panic or in
/// an empty store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_a_clear_error_or_no_damage() {
    let directory = TempDir::new().unwrap();
    let draft = Draft::new();
    {
        let ledger = EmbeddedLedger::open(directory.path()).unwrap();
        for _ in 0..50 {
            ledger.record(Draft::new().commit()).await.unwrap();
        }
        ledger.record(draft.commit()).await.unwrap();
    }
    let path = directory.path().join("ledger.redb");
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = 0;
    let lengths = [1, 100, 4_096, whole.len() / 2, whole.len() - 1];
    let cuts = lengths.map(|length| whole[..length].to_vec());
    let step = whole.len() / 60;
    let flips = (0..60).map(|i| {
        let mut bytes = whole.clone();
        for byte in &mut bytes[i * step..i * step + 64] {
            *byte ^= 0xa5;
        }
        bytes
    });
    let noise = [vec![0; 8_192], b"not a ledger".repeat(1_000)];
    for bytes in cuts.into_iter().chain(flips).chain(noise) {
        std::fs::write(&path, bytes).unwrap();
        match EmbeddedLedger::open(directory.path()) {
            Err(OpenError::Damaged { .. }) => damaged += 1,
            Err(other) => panic!("{other}"),
            Ok(ledger) => assert_eq!(
                ledger.issuance(draft.id()).await.unwrap().as_ref(),
                Some(&draft.issuance)
            ),
        }
    }
    assert!(damaged > 20, "{damaged}");

    // Not started anew without a word either.
    std::fs::write(&path, b"").unwrap();
    let gone = EmbeddedLedger::open(directory.path());
    assert!(matches!(gone, Err(OpenError::Gone { .. })), "{gone:?}");
    std::fs::remove_file(&path).unwrap();
    let gone = EmbeddedLedger::open(directory.path());
    assert!(matches!(gone, Err(OpenError::Gone { .. })), "{gone:?}");
    std::fs::remove_file(directory.path().join("cluster-secret")).unwrap();
    let _ = std::fs::remove_file(&path);
    EmbeddedLedger::open(directory.path()).unwrap();
}

#[tokio::test]
async fn a_secret_that_others_can_read_is_refused() {
    let directory = TempDir::new().unwrap();
    drop(EmbeddedLedger::open(directory.path()).unwrap());
    let secret = directory.path().join("cluster-secret");
    for open in [0o640, 0o604, 0o660] {
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(open)).unwrap();
        let refused = EmbeddedLedger::open(directory.path());
        assert!(
            matches!(refused, Err(OpenError::Secret { .. })),
            "{refused:?}"
        );
    }
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&secret, b"short").unwrap();
    let refused = EmbeddedLedger::open(directory.path());
    assert!(
        matches!(refused, Err(OpenError::Secret { .. })),
        "{refused:?}"
    );
    // A ledger that others could read is closed to them.
    std::fs::write(&secret, [7; 32]).unwrap();
    let ledger = directory.path().join("ledger.redb");
    std::fs::set_permissions(&ledger, std::fs::Permissions::from_mode(0o644)).unwrap();
    let opened = EmbeddedLedger::open(directory.path()).unwrap();
    assert_eq!(mode(&ledger), 0o600);
    assert_eq!(*opened.cluster_secret(), [7; 32]);
}

/// A wall clock that can be set; the monotonic one goes on.
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Now {
        let offset = self.0.load(Ordering::Relaxed);
        Now {
            unix_ms: unix_ms().checked_add_signed(offset).unwrap(),
            monotonic_ms: unix_ms(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_set_back_refuses_even_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let clock = Arc::new(SetClock(AtomicI64::new(0)));
    let open = || {
        EmbeddedLedger::open_with(directory.path(), clock.clone(), AuditCaps::default()).unwrap()
    };
    let commit = |ledger: EmbeddedLedger| {
        let clock = clock.clone();
        async move {
            let mut draft = Draft::new();
            draft.unix_ms = clock.now().unix_ms;
            ledger.record(draft.commit()).await
        }
    };
    let ledger = open();
    commit(ledger.clone()).await.unwrap();
    clock.0.store(-1_000, Ordering::Relaxed);
    commit(ledger.clone()).await.unwrap();
    clock.0.store(-3_600_000, Ordering::Relaxed);
    for _ in 0..2 {
        let refused = commit(ledger.clone()).await;
        assert!(
            matches!(refused, Err(LedgerError::ClockSkew { skew_ms }) if skew_ms < -3_000_000),
            "{refused:?}"
        );
    }
    drop(ledger);
    let ledger = open();
    assert!(matches!(
        commit(ledger.clone()).await,
        Err(LedgerError::ClockSkew { .. })
    ));
    clock.0.store(0, Ordering::Relaxed);
    commit(ledger).await.unwrap();
}

/// A wall clock that jumps ahead makes nothing old: marks stay for as long as time really passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_ahead_purges_nothing() {
    let directory = TempDir::new().unwrap();
    let clock = Arc::new(SetClock(AtomicI64::new(0)));
    let ledger =
        EmbeddedLedger::open_with(directory.path(), clock.clone(), AuditCaps::default()).unwrap();
    let draft = Draft::once(fresh());
    ledger.record(draft.commit()).await.unwrap();
    clock.0.store(86_400_000, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    clock.0.store(0, Ordering::Relaxed);
    assert!(ledger.issuance(draft.id()).await.unwrap().is_some());
    let mut again = Draft::new();
    again.replay = draft.replay;
    let refused = ledger.record(again.commit()).await;
    assert!(matches!(refused, Err(LedgerError::Replayed)), "{refused:?}");
}

/// What is over leaves the file, in the background and without a call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_store_forgets_what_is_over() {
    let directory = TempDir::new().unwrap();
    let ledger = EmbeddedLedger::open(directory.path()).unwrap();
    for _ in 0..300 {
        let mut draft = Draft::limited(&[("owner:a", 1, 1_000)]);
        draft.issuance.expires_at = crate::draft::in_secs(-70);
        draft.replay = Some(dayfly_issuer::ReplayMark {
            digest: fresh(),
            until: crate::draft::in_secs(-10),
        });
        ledger.record(draft.commit()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    drop(ledger);
    let database = redb::Database::open(directory.path().join("ledger.redb")).unwrap();
    let read = redb::ReadableDatabase::begin_read(&database).unwrap();
    for table in [
        "issuances",
        "credentials",
        "marks",
        "limits",
        "live",
        "expiry",
    ] {
        let found = redb::ReadableTableMetadata::len(
            &read
                .open_untyped_table(redb::TableDefinition::<u64, u64>::new(table))
                .unwrap(),
        );
        assert_eq!(found.unwrap(), 0, "{table}");
    }
}

/// A disk that holds writes back does not hold the callers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_commits_share_transactions() {
    let directory = TempDir::new().unwrap();
    let ledger = EmbeddedLedger::open(directory.path()).unwrap();
    let tasks: Vec<_> = (0..2_000)
        .map(|_| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                let draft = Draft::new();
                ledger.record(draft.commit()).await.unwrap();
                draft.id()
            })
        })
        .collect();
    for task in tasks {
        let id = task.await.unwrap();
        assert!(ledger.issuance(id).await.unwrap().is_some());
    }
}
