//! The control state under honest and hostile histories.

mod admission;
mod clocks;
mod follower;
mod secrets;
mod view;

use dayfly_token::feed::Kind;
use dayfly_token::{Slug, TaskId, UnixTime, WorkloadId};

use super::{Body, ControlView, Lineage, Target};
use crate::port::ControlWrite;
use crate::testing::cluster_secret;

const AFTER_END_SECS: u64 = 960;
const T: u64 = 1_000_000;

fn view() -> ControlView {
    let mut view = ControlView::new(vec![cluster_secret()], AFTER_END_SECS);
    view.heard(T * 1000, UnixTime::from_secs(T));
    view
}

fn seal(view: &ControlView, body: Body) -> ControlWrite {
    view.seal(UnixTime::from_secs(T), "replica:a", "", body)
        .unwrap()
}

fn put(view: &mut ControlView, body: Body) -> ControlWrite {
    let write = seal(view, body);
    view.apply(&write.sealed).unwrap();
    write
}

fn cut(kind: Kind, value: &str, before: u64) -> Body {
    let (before, until) = (
        UnixTime::from_secs(before),
        UnixTime::from_secs(before + 960),
    );
    Body::CutOff {
        kind,
        value: value.to_owned(),
        before,
        until,
    }
}

struct Names {
    workload: WorkloadId,
    rule: Slug,
    task: TaskId,
}

fn names() -> Names {
    Names {
        workload: "payments/deploy".parse().unwrap(),
        rule: "gh-deploy".parse().unwrap(),
        task: "payments/deploy-1".parse().unwrap(),
    }
}

impl Names {
    fn target(&self) -> Target<'_> {
        Target {
            workload: &self.workload,
            rule: &self.rule,
            source: "oidc:github",
            task: Some(&self.task),
        }
    }

    fn lineage(&self, issued_at: u64) -> Lineage<'_> {
        Lineage {
            id: "child",
            ancestors: &[],
            workload: &self.workload,
            rule: &self.rule,
            task: Some(&self.task),
            kid: Some("kid"),
            issued_at: UnixTime::from_secs(issued_at),
        }
    }
}

fn state(view: &ControlView) -> Vec<ControlWrite> {
    let mut writes = view.write_back(UnixTime::EPOCH);
    writes.sort_by(|a, b| a.slot.cmp(&b.slot));
    writes
}
