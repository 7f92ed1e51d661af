//! The manual knows every code.

use std::collections::BTreeSet;

use dayfly_verifier::tower::RefusalCode;

#[test]
fn the_table_of_codes_is_whole() {
    let manual = include_str!("../../src/manual/howto/refusals.rs");
    let (_, table) = manual
        .split_once("//! | code | what it means | what to do |")
        .unwrap();
    let rows: Vec<_> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("//! |"))
        .collect();
    let mut documented = Vec::new();
    for row in &rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{row}");
        assert!(cells[2].len() > 10 && cells[3].len() > 10, "{row}");
        let codes = cells[1].split(", ").map(|code| code.trim_matches('`'));
        documented.extend(codes);
    }
    let set: BTreeSet<_> = documented.iter().copied().collect();
    assert_eq!(set.len(), documented.len(), "each code once");
    let codes: BTreeSet<_> = RefusalCode::all().map(RefusalCode::as_str).collect();
    assert_eq!(set, codes);
}
