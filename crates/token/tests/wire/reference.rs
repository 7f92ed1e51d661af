//! The fast reader of strict JSON, held against a second one.

mod reader;

use dayfly_token::json;
use proptest::prelude::*;

use reader::object;

/// Pieces of which texts are made that are JSON, or nearly.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec!["{", "}", "[", "]", ":", ",", " ", "\n", "{\"a\":", "[1,", "\"a\":", "\"b\":"]),
        3 => prop::sample::select(vec![
            "\"\"", "\"a\"", "\"\\u0061\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\\ude00\"", "\"\\x\"", "\"é\"", "\"\t\"",
            "\"$serde_json::private::RawValue\"", "\"$serde_json::private::Numbe\"", "\"\\u0000\"", "\"\\/\"",
        ]),
        3 => prop::sample::select(vec![
            "0", "-0", "01", "1.", ".5", "1.5", "1e3", "1E+3", "1e400", "-1e-400", "18446744073709551616", "9007199254740993",
            "+1", "--1", "NaN", "null", "true", "false", "nul", "1e", "-", "\u{feff}", "\u{b}", "\u{c}",
        ]),
    ];
    proptest::collection::vec(piece, 1..14).prop_map(|pieces| format!("{{{}}}", pieces.concat()))
}

fn hold_together(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (ours, reference) = (json::object(bytes), object(bytes));
    prop_assert_eq!(
        ours.as_ref().ok(),
        reference.as_ref(),
        "{} {:?}",
        String::from_utf8_lossy(bytes),
        ours
    );
    prop_assert_eq!(json::check_object(bytes).is_ok(), reference.is_some());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn both_readers_read_the_same_of_pieces(text in pieces()) {
        hold_together(text.as_bytes())?;
    }

    /// Claims with one byte put in, taken out or exchanged.
    #[test]
    fn both_readers_read_the_same_of_damaged_claims(at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..3_u8) {
        let mut bytes = crate::claims::full().to_string().into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes.insert(at, byte),
            1 => {
                bytes.remove(at);
            }
            _ => bytes[at] = byte,
        }
        hold_together(&bytes)?;
    }

    #[test]
    fn both_readers_read_the_same_of_nesting(levels in 10..24_usize, arrays in any::<u32>(), leaf in "0|\"x\"|\\{\\}|\\[\\]") {
        let (mut text, mut end) = (String::new(), String::new());
        for level in 0..levels {
            let (open, close) = if level > 0 && arrays >> level & 1 == 1 { ("[", "]") } else { ("{\"a\":", "}") };
            text.push_str(open);
            end.insert_str(0, close);
        }
        hold_together(format!("{text}{leaf}{end}").as_bytes())?;
    }
}

#[test]
fn the_reference_knows_what_it_should() {
    for good in [
        "{}",
        " {\"a\" : [1, -2.5e3, \"\\u00e9\", null, true, {}]}\n",
        "{\"\\ud83d\\ude00\":0}",
    ] {
        assert!(object(good.as_bytes()).is_some(), "{good}");
        assert!(json::object(good.as_bytes()).is_ok(), "{good}");
    }
    for bad in [
        "",
        "[]",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":1}",
        "{\"a\":01}",
        "{\"a\":1}x",
        "{'a':1}",
        "{\"a\":1e400}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":1,}",
        "{\"a\":\"\\ud83d\"}",
        "\u{c}{}",
    ] {
        assert!(object(bad.as_bytes()).is_none(), "{bad}");
        assert!(json::object(bad.as_bytes()).is_err(), "{bad}");
    }
}
