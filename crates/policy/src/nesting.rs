//! How deep a text in Cedar nests, found before Cedar reads it.
//!
//! Cedar's parser, and whatever walks or drops the tree that it makes, calls itself once for each level and knows no
//! limit. A stack that overflows ends the process: one condition of one grant would stop all issuance.

/// Deepest tree. Nobody reads more levels than this, and with it an unoptimised build stays within the 2 MiB stack of
/// a worker thread.
const MAX_LEVELS: usize = 96;
/// Levels of Cedar's grammar that one pair of brackets is counted as: it goes through all of them to the next.
const BRACKET_LEVELS: usize = 4;

/// What one pair of brackets holds so far.
#[derive(Default)]
struct Bracket {
    /// Operators that take what stands before them as their left side, and words that take what follows.
    links: usize,
    /// Accesses and calls in a row.
    accesses: usize,
}

/// Where `text` nests too deeply, in bytes. The count is an upper bound, whether or not the text is Cedar.
pub(crate) fn too_deep(text: &str) -> Option<usize> {
    let mut open = vec![Bracket::default()];
    let mut rest = text;
    while let Some(token) = next_token(&mut rest) {
        let mut innermost = open.pop().unwrap_or_default();
        match token {
            "(" | "[" | "{" => {
                innermost.accesses += 1;
                open.push(innermost);
                open.push(Bracket::default());
            }
            ")" | "]" | "}" => {
                // What closes nothing stays outside.
                if open.is_empty() {
                    open.push(innermost);
                }
            }
            // Between the elements of a list, and between policies; nowhere else do these separate anything.
            "," if !open.is_empty() => open.push(Bracket::default()),
            ";" if open.is_empty() => open.push(Bracket::default()),
            "." => {
                innermost.accesses += 1;
                open.push(innermost);
            }
            "&&" | "||" | "+" | "-" | "*" | "if" | "when" | "unless" => {
                innermost.links += 1;
                innermost.accesses = 0;
                open.push(innermost);
            }
            _ => open.push(innermost),
        }
        let held = open.iter().map(|bracket| bracket.links + bracket.accesses);
        if held.sum::<usize>() + BRACKET_LEVELS * open.len() > MAX_LEVELS {
            return Some(text.len() - rest.len() - token.len());
        }
    }
    None
}

/// The next word, operator, bracket or string; comments and blanks are skipped.
fn next_token<'a>(rest: &mut &'a str) -> Option<&'a str> {
    loop {
        *rest = rest.trim_start();
        match rest.strip_prefix("//") {
            None => break,
            Some(comment) => *rest = comment.split_once('\n').map_or("", |(_, after)| after),
        }
    }
    let first = rest.chars().next()?;
    let length = match first {
        '"' => string_bytes(rest),
        '&' | '|' if rest.starts_with("&&") || rest.starts_with("||") => 2,
        _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
        _ => first.len_utf8(),
    };
    let (token, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(token)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The length of the string that `text` begins with, both quotes included.
fn string_bytes(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().enumerate().skip(1).find(|(_, byte)| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    end.map_or(text.len(), |(quote, _)| quote + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_fine() {
        let lines: String = (0..80)
            .map(|n| format!("context.claims.hasTag(\"t{n}\") && // (((\n"))
            .collect();
        let list: String = (0..1000).map(|n| format!("\"v{n}.{n}(\", ")).collect();
        for text in [
            "",
            "true",
            ")}]",
            &format!("{lines} true"),
            &format!("[{list}\"x\"].contains(context.rule)"),
            &"forbid(principal, action, resource) when { context.lifetime > 1 };\n".repeat(1000),
            &format!("context.task like \"{}\\\"((\"", "(".repeat(1000)),
        ] {
            assert_eq!(too_deep(text), None, "{text}");
        }
    }

    #[test]
    fn every_way_down_is_counted() {
        for (step, end) in [
            ("(", ")"),
            ("[", "]"),
            ("{a: ", "}"),
            ("f(", ")"),
            ("!(", ")"),
            ("true && ", ""),
            ("true || ", ""),
            ("1 + ", ""),
            ("1 - ", ""),
            ("1 * ", ""),
            ("a.", ""),
            ("a.b(1).", ""),
            ("when { true } ", ""),
            ("unless { true } ", ""),
            ("if true then ", " else true"),
            ("if ", " then true else true"),
            ("if true then true else ", ""),
            ("1 + (2, ", ")"),
            ("// (\n(", ")"),
            ("\"\\\\\" + ", ""),
        ] {
            let nested = format!("{}true{}", step.repeat(2000), end.repeat(2000));
            assert!(too_deep(&nested).is_some(), "{step}");
        }
        let indexed = format!("a{}", "[\"b\"]".repeat(2000));
        assert!(too_deep(&indexed).is_some());
        assert_eq!(too_deep(&"(".repeat(1000)), Some(18));
    }
}
