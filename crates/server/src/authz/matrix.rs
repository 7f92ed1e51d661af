//! The authorization table for people.

use super::{Access, CallerKind, Listener, Row, TABLE};

/// `api/authz.txt`: the matrix for people.
#[must_use]
pub fn matrix() -> String {
    let mut text = String::from(
        "# Who may call what: generated from crates/server/src/authz.rs, do not edit.\n\
         #\n\
         # anonymous    no credential at all\n\
         # no right     a registered workload, by its SVID or a token whose audience is the issuer\n\
         # other owner  it has the right, limited to another owner than the one concerned\n\
         # right        it has the right named in the second column\n\
         # holder       it holds the evidence, the credential, a live credential of the task, or\n\
         #              operates the audience, that the request is about\n\
         # socket       the Unix socket of the operator\n\
         #\n\
         # deny = 403 and nothing has changed; inactive, ignored = 200 as for an unknown token;\n\
         # its own = what belongs to its own owner; unauthenticated = 401, or the grant's own\n\
         # error; - = not served there\n\n",
    );
    let mut lines = vec![header()];
    lines.extend(TABLE.iter().map(line));
    let widths: Vec<usize> = (0..lines.first().map_or(0, Vec::len))
        .map(|n| {
            lines
                .iter()
                .filter_map(|l| l.get(n))
                .map(|c| c.len())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for cells in lines {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn header() -> Vec<String> {
    let mut cells = vec!["operation".to_owned(), "access".to_owned()];
    cells.extend(CallerKind::ALL.map(|kind| kind.as_str().to_owned()));
    cells
}

fn line(row: &Row) -> Vec<String> {
    let mut name = format!("{:<4} {}", row.method, row.path);
    if !row.variant.is_empty() {
        name = format!("{name} ({})", row.variant);
    }
    let access = match row.access {
        Access::Open if row.listener == Listener::Operations => {
            "open, operations listener".to_owned()
        }
        Access::Open => "open".to_owned(),
        Access::Evidence => "evidence".to_owned(),
        Access::Possession => "possession".to_owned(),
        Access::Scope(scope) | Access::ScopeOverOwn(scope) => scope.as_str().to_owned(),
        Access::ScopeOrTask(scope) => format!("{} or task", scope.as_str()),
        Access::ScopeOrOperator(scope) => format!("{} or operator", scope.as_str()),
    };
    let mut cells = vec![name, access];
    cells.extend(CallerKind::ALL.map(|kind| row.verdict(kind).as_str().to_owned()));
    cells
}
