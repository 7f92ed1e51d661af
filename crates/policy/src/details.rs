//! Authorization details (RFC 9396): whether one is covered by another.

use serde_json::{Map, Value};

/// Objects in one grant or request: they all stand in the token.
pub(crate) const MAX_DETAILS: usize = 16;
/// Longest object of a grant, in bytes of JSON: tokens should stay small.
const MAX_DETAIL_BYTES: usize = 1024;
/// The member that names the kind of the object.
const TYPE: &str = "type";

/// Whether `granted` covers `asked`: the same members, of which arrays of strings may be a part, and everything else is
/// equal. A member that is missing could mean "all", so it is not less.
fn covers(granted: &Map<String, Value>, asked: &Map<String, Value>) -> bool {
    granted.len() == asked.len()
        && granted.iter().all(|(name, limit)| {
            asked
                .get(name)
                .is_some_and(|value| value == limit || (name != TYPE && is_part(limit, value)))
        })
}

/// Whether each of `asked` is covered by one of `granted`, and each of `granted` used once: to an API, one payment twice
/// may be two payments.
pub(crate) fn all_covered(granted: &[Map<String, Value>], asked: &[Map<String, Value>]) -> bool {
    let mut owners = vec![None; granted.len()];
    asked.len() <= granted.len()
        && (0..asked.len()).all(|one| {
            let mut tried = vec![false; granted.len()];
            place(granted, asked, one, &mut owners, &mut tried)
        })
}

/// Finds a place in `granted` for `asked[one]`, moving others on where that helps. Each place is tried once, so that
/// this goes at most as deep as there are places.
fn place(
    granted: &[Map<String, Value>],
    asked: &[Map<String, Value>],
    one: usize,
    owners: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    let Some(detail) = asked.get(one) else {
        return false;
    };
    for (number, limit) in granted.iter().enumerate() {
        match tried.get_mut(number) {
            Some(tried) if !*tried && covers(limit, detail) => *tried = true,
            _ => continue,
        }
        let free = match owners.get(number).copied().flatten() {
            None => true,
            Some(other) => place(granted, asked, other, owners, tried),
        };
        if let (true, Some(owner)) = (free, owners.get_mut(number)) {
            *owner = Some(one);
            return true;
        }
    }
    false
}

fn is_part(limit: &Value, value: &Value) -> bool {
    let (Value::Array(limit), Value::Array(value)) = (limit, value) else {
        return false;
    };
    // None twice, or a request could make a token of any size out of one granted word.
    let distinct = |(index, one): (usize, &Value)| !value.iter().take(index).any(|v| v == one);
    !value.is_empty()
        && value.len() <= limit.len()
        && value
            .iter()
            .all(|one| one.is_string() && limit.contains(one))
        && value.iter().enumerate().all(distinct)
}

/// Whether the objects of a grant are well formed.
pub(crate) fn check(details: &[Map<String, Value>]) -> Result<(), String> {
    if details.len() > MAX_DETAILS {
        return Err(format!("at most {MAX_DETAILS} authorization details"));
    }
    for detail in details {
        if !detail.get(TYPE).is_some_and(Value::is_string) {
            return Err(
                "authorization details need a `type`, a string (RFC 9396 section 2)".to_owned(),
            );
        }
        let size = serde_json::to_string(detail).map_or(usize::MAX, |json| json.len());
        if size > MAX_DETAIL_BYTES {
            return Err(format!(
                "one authorization detail has at most {MAX_DETAIL_BYTES} bytes of JSON, this one has {size}"
            ));
        }
        if detail.values().any(is_odd) {
            return Err("authorization details hold strings, whole numbers, booleans, lists and tables: write dates and fractions as strings".to_owned());
        }
    }
    Ok(())
}

/// What TOML can say and JSON cannot, or not in one way: dates (which arrive as a table of their own) and fractions.
fn is_odd(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(is_odd),
        Value::Object(map) => map
            .iter()
            .any(|(name, value)| name.starts_with("$__") || is_odd(value)),
        Value::Bool(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn less_is_covered_and_more_is_not() {
        let granted = map(json!({"type": "deploy", "actions": ["plan", "apply"], "app": "web"}));
        for less in [
            json!({"type": "deploy", "actions": ["plan", "apply"], "app": "web"}),
            json!({"type": "deploy", "actions": ["plan"], "app": "web"}),
        ] {
            assert!(covers(&granted, &map(less)));
        }
        for more in [
            json!({"type": "deploy", "actions": ["destroy"], "app": "web"}),
            json!({"type": "deploy", "actions": ["plan", "destroy"], "app": "web"}),
            json!({"type": "deploy", "actions": [], "app": "web"}),
            json!({"type": "deploy", "actions": "plan", "app": "web"}),
            json!({"type": "deploy", "actions": ["plan", "plan"], "app": "web"}),
            json!({"type": "deploy", "actions": vec!["plan"; 10_000], "app": "web"}),
            json!({"type": "deploy", "actions": ["plan"], "app": "*"}),
            json!({"type": "deploy", "actions": ["plan"]}),
            json!({"type": "deploy", "app": "web"}),
            json!({"type": "deploy", "actions": ["plan"], "app": "web", "x": 1}),
            json!({"type": "Deploy", "actions": ["plan"], "app": "web"}),
            json!({}),
        ] {
            assert!(!covers(&granted, &map(more.clone())), "{more}");
        }
    }

    #[test]
    fn each_granted_object_is_used_once() {
        let of = |actions: &[&str]| map(json!({"type": "pay", "actions": actions}));
        let (a, b, c, ab, abc) = (
            of(&["a"]),
            of(&["b"]),
            of(&["c"]),
            of(&["a", "b"]),
            of(&["a", "b", "c"]),
        );
        let covered = |granted: &[&Map<_, _>], asked: &[&Map<_, _>]| {
            let owned = |list: &[&Map<String, Value>]| {
                list.iter().map(|m| (*m).clone()).collect::<Vec<_>>()
            };
            all_covered(&owned(granted), &owned(asked))
        };
        assert!(covered(&[&ab], &[]) && covered(&[&ab], &[&a]) && covered(&[&a, &a], &[&a, &a]));
        assert!(!covered(&[&ab], &[&a, &a]) && !covered(&[&ab], &[&a, &b]) && !covered(&[], &[&a]));
        // Whichever comes first, there is a place for each.
        for granted in [[&abc, &ab, &a], [&a, &ab, &abc], [&ab, &abc, &a]] {
            for asked in [[&a, &b, &c], [&c, &b, &a], [&b, &a, &c]] {
                assert!(covered(&granted, &asked));
            }
            assert!(!covered(&granted, &[&c, &c, &a]) && !covered(&granted, &[&a, &a, &a, &a]));
        }
    }

    #[test]
    fn odd_grants_are_refused() {
        assert!(
            check(&[map(
                json!({"type": "a", "n": 1, "l": ["x"], "t": {"b": true}})
            )])
            .is_ok()
        );
        for bad in [
            json!({}),
            json!({"type": 1}),
            json!({"type": "a", "n": 1.5}),
            json!({"type": "a", "n": null}),
            json!({"type": "a", "d": {"$__toml_private_datetime": "x"}}),
            json!({"type": "a", "text": "x".repeat(MAX_DETAIL_BYTES)}),
        ] {
            assert!(check(&[map(bad.clone())]).is_err(), "{bad}");
        }
        let many = vec![map(json!({"type": "a"})); MAX_DETAILS + 1];
        assert!(check(&many).is_err());
    }
}
