//! Files that say what is expected, in a form that people can read and review.

use std::path::PathBuf;

use serde_json::{Map, Value};

/// Compares a text with `golden/<name>`; with `DAYFLY_BLESS=1` writes it there.
#[track_caller]
pub(super) fn assert_golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(name);
    let text = format!("{}\n", text.trim_end());
    if std::env::var_os("DAYFLY_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "{} is not what was printed (DAYFLY_BLESS=1 blesses it):\n{text}",
        path.display()
    );
}

/// Compares the shape of what was printed: the members, and the types of their values.
#[track_caller]
pub(super) fn assert_shape(name: &str, value: &Value) {
    let text = serde_json::to_string_pretty(&shape(value)).unwrap();
    assert_golden(&format!("cli/{name}.json"), &text);
}

fn shape(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        // Elements are alike.
        Value::Array(items) => items.iter().take(1).map(shape).collect(),
        Value::Object(members) => {
            let shapes = members
                .iter()
                .map(|(name, value)| (name.clone(), shape(value)));
            Value::Object(shapes.collect::<Map<_, _>>())
        }
    }
}
