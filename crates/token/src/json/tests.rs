#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;

fn duplicate(name: &str) -> Result<(), JsonError> {
    Err(JsonError::DuplicateMember {
        name: Excerpt::of(name),
    })
}

#[test]
fn duplicates_are_found_at_every_depth_and_under_escapes() {
    assert_eq!(
        check_object(br#"{"sub":1,"aud":2,"sub":1}"#),
        duplicate("sub")
    );
    assert_eq!(check_object(br#"{"sub":1,"\u0073ub":1}"#), duplicate("sub"));
    assert_eq!(
        check_object(br#"{"\u0073\u0075b":1,"s\u0075b":1}"#),
        duplicate("sub")
    );
    assert_eq!(
        check_object(br#"{"cnf":{"jkt":1,"jkt":2}}"#),
        duplicate("jkt")
    );
    assert_eq!(
        check_object(br#"{"a":[{"b":[{"c":1,"c":1}]}]}"#),
        duplicate("c")
    );
    assert_eq!(check_object(br#"{"":1,"":1}"#), duplicate(""));
    assert_eq!(
        check_object(br#"{"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":1}]}"#),
        Ok(())
    );
    assert_eq!(
        check_object("{\"é\":1,\"e\u{301}\":2,\"E\":3,\"e\":4}".as_bytes()),
        Ok(())
    );
}

#[test]
fn duplicates_are_found_among_many() {
    let mut members: Vec<String> = (0..10_000).map(|n| format!("\"m{n}\":{n}")).collect();
    assert_eq!(
        check_object(format!("{{{}}}", members.join(",")).as_bytes()),
        Ok(())
    );
    for twin in ["m3", "m15", "m16", "m9999"] {
        members.push(format!("\"{twin}\":0"));
        assert_eq!(
            check_object(format!("{{{}}}", members.join(",")).as_bytes()),
            duplicate(twin)
        );
        members.pop();
    }
}

#[test]
fn depth_is_limited() {
    let nested = |levels: usize| {
        let inner = levels - 1;
        format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
    };
    assert_eq!(check_object(nested(MAX_DEPTH).as_bytes()), Ok(()));
    assert_eq!(
        check_object(nested(MAX_DEPTH + 1).as_bytes()),
        Err(JsonError::Depth)
    );
    assert_eq!(
        check_object(nested(200_000).as_bytes()),
        Err(JsonError::Depth)
    );
    assert_eq!(
        check_object("{\"a\":".repeat(200_000).as_bytes()),
        Err(JsonError::Depth)
    );
}

#[test]
fn only_one_object_in_utf8() {
    for other in ["", "  ", "[]", "null", "1", "\"{}\"", "[{}]", "\u{feff}{}"] {
        assert_eq!(
            check_object(other.as_bytes()),
            Err(JsonError::NotAnObject),
            "{other:?}"
        );
    }
    let utf16: Vec<u8> = "{\"a\":1}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let refused: &[&[u8]] = &[
        b"{} {}",
        b"{}x",
        b"{},",
        b"{",
        b"{\"a\"}",
        b"{\"a\":1,}",
        b"{'a':1}",
        b"{a:1}",
        b"{}\0",
        b"{\"a\":01}",
        b"{\"a\":+1}",
        b"{\"a\":.5}",
        b"{\"a\":NaN}",
        b"{\"a\":Infinity}",
        b"{\"a\":1e400}",
        b"{\"a\":-1e400}",
        b"{\"a\":\"\xff\"}",
        b"{\"\xc3\":1}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"\x00\"}",
        b"{/**/}",
        &utf16,
    ];
    for document in refused {
        assert!(
            matches!(check_object(document), Err(JsonError::Syntax { .. })),
            "{:?}: {:?}",
            String::from_utf8_lossy(document),
            check_object(document)
        );
    }
    assert_eq!(
        check_object(b" \t\r\n{ \"a\" : [ 1 , -2.5e3 , true , null , \"\\u0000\" ] } \n"),
        Ok(())
    );
}

#[test]
fn typed_decoding_is_strict_too() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Thing<'a> {
        name: &'a str,
    }
    assert_eq!(
        from_slice::<Thing<'_>>(br#"{"name":"x","other":1}"#).unwrap(),
        Thing { name: "x" }
    );
    assert!(matches!(
        from_slice::<Thing<'_>>(br#"{"name":"x","other":{"a":1,"a":1}}"#),
        Err(JsonError::DuplicateMember { .. })
    ));
    let long = format!("{{\"name\":[\"{}\"]}}", "x".repeat(100_000));
    let Err(JsonError::Shape { reason }) = from_slice::<Thing<'_>>(long.as_bytes()) else {
        unreachable!("a list is no name");
    };
    assert!(reason.chars().count() <= MAX_REASON_CHARACTERS);
    assert_eq!(object(br#"{"a":1}"#).unwrap().len(), 1);
}

#[test]
fn reasons_stay_on_one_line() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Known {
        kind: Kind,
    }
    #[derive(Debug, Deserialize)]
    enum Kind {
        One,
    }
    assert!(from_slice::<Known>(br#"{"kind":"One"}"#).is_ok());
    for text in [
        r#"{"a\nb\u202e\u001b[31m":1}"#,
        r#"{"kind":"a\nb\u202e\u001b[31m"}"#,
    ] {
        let Err(JsonError::Shape { reason }) = from_slice::<Known>(text.as_bytes()) else {
            panic!("{text}");
        };
        let hidden = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!reason.chars().any(hidden), "{reason:?}");
    }
}

/// serde_json reads an object with one of its private names as something else, if a crate of the build asked for that.
#[test]
fn nothing_is_smuggled_past_in_a_string() {
    for hidden in [
        r#"{\"x\":1,\"x\":2}"#,
        r#"\"74\""#,
        "[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]",
    ] {
        for name in [
            "$serde_json::private::RawValue",
            "\\u0024serde_json::private::RawValue",
        ] {
            for document in [
                format!(r#"{{"{name}":"{hidden}"}}"#),
                format!(r#"{{"a":{{"{name}":"{hidden}"}}}}"#),
                format!(r#"{{"a":[{{"b":1,"{name}":"{hidden}"}}]}}"#),
            ] {
                assert!(
                    matches!(
                        object(document.as_bytes()),
                        Err(JsonError::ReservedMember { .. })
                    ),
                    "{document}"
                );
            }
        }
    }
    for number in [
        r#"{"$serde_json::private::Number":"1e400"}"#,
        r#"{"$serde_json::private::Number":"NaN"}"#,
        r#"{"$serde_json::private::Number":"1","a":1}"#,
        r#"{"$serde_json::private::Number":1}"#,
        r#"{"a":1,"$serde_json::private::Number":"1"}"#,
    ] {
        assert!(
            check_object(format!(r#"{{"n":{number}}}"#).as_bytes()).is_err(),
            "{number}"
        );
    }
}

#[test]
fn types_of_every_kind_are_read() {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    #[derive(Debug, PartialEq, Deserialize)]
    enum Answer {
        Yes,
        Perhaps(u8),
    }

    // Written for people, so that an address is text.
    let addresses: BTreeMap<String, IpAddr> = from_slice(br#"{"a":"10.0.0.1"}"#).unwrap();
    assert_eq!(addresses["a"], IpAddr::from([10, 0, 0, 1]));
    let read = |json: &'static str| from_slice::<BTreeMap<&str, Answer>>(json.as_bytes());
    for (json, answer) in [
        (r#"{"a":"Yes"}"#, Answer::Yes),
        (r#"{"a":{"Yes":null}}"#, Answer::Yes),
        (r#"{"a":{"Perhaps":1}}"#, Answer::Perhaps(1)),
    ] {
        assert_eq!(
            read(json).unwrap(),
            BTreeMap::from([("a", answer)]),
            "{json}"
        );
    }
    for json in [r#"{"a":"No"}"#, r#"{"a":{"Yes":1}}"#, r#"{"a":"Perhaps"}"#] {
        assert!(matches!(read(json), Err(JsonError::Shape { .. })), "{json}");
    }
}

#[test]
fn errors_say_what_was_expected() {
    #[derive(Debug, Deserialize)]
    struct Outer {
        #[serde(default)]
        _text: String,
        #[serde(default, deserialize_with = "present_object")]
        _inner: Option<serde_json::Map<String, serde_json::Value>>,
    }

    for (json, expected) in [
        (r#"{"_text":1}"#, "expected a string"),
        (r#"{"_inner":1}"#, "expected an object"),
        (
            r#"{"_inner":{"$serde_json::private::Number":1}}"#,
            "expected a member name",
        ),
    ] {
        let refused = from_slice::<Outer>(json.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(refused.contains(expected), "{json}: {refused}");
    }
}

/// Whatever a name begins and ends with, and however long it is.
#[test]
fn names_of_any_form_are_told_apart() {
    for name in [
        "",
        " \u{bf}",
        "\u{bf} ",
        &"x".repeat(1000),
        &"\u{10ffff}".repeat(1000),
    ] {
        let once = format!("{{\"{name}\":1,\"{name}y\":2}}");
        assert_eq!(check_object(once.as_bytes()), Ok(()), "{name}");
        let twice = format!("{{\"{name}\":1,\"{name}y\":2,\"{name}\":3}}");
        assert_eq!(check_object(twice.as_bytes()), duplicate(name), "{name}");
    }
}
