//! Reads Rust source just well enough to check it: comments, texts and tests are blanked out, lines
//! stay where they are.

use std::collections::BTreeSet;

/// The source with comments and the contents of literals replaced by spaces.
pub fn blank(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut kept = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_opaque(&chars, at);
        if end == at {
            kept.push(chars[at]);
            at += 1;
        } else {
            kept.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    kept
}

/// The end of the comment or literal that begins at `at`; `at` itself when none does.
fn end_of_opaque(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let starts = |text: &str| {
        rest.len() >= text.len() && text.chars().eq(rest[..text.len()].iter().copied())
    };
    if starts("//") {
        return at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
    }
    if starts("/*") {
        return end_of_block_comment(chars, at);
    }
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    let may_be_raw = !in_word && ["r\"", "r#", "br\"", "br#"].into_iter().any(starts);
    if let Some(end) = may_be_raw.then(|| end_of_raw_text(chars, at)).flatten() {
        return end;
    }
    match rest[0] {
        '"' => end_of_quoted(chars, at, '"'),
        // A lifetime has no quote two or more characters on.
        '\'' if rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'') => {
            end_of_quoted(chars, at, '\'')
        }
        _ => at,
    }
}

fn end_of_quoted(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn end_of_block_comment(chars: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

/// `None` for a raw identifier such as `r#type`.
fn end_of_raw_text(chars: &[char], start: usize) -> Option<usize> {
    let open = start + chars[start..].iter().position(|c| *c != 'b' && *c != 'r')?;
    let hashes = chars[open..].iter().take_while(|c| **c == '#').count();
    if chars.get(open + hashes) != Some(&'"') {
        return None;
    }
    let closes = |at: usize| {
        chars[at] == '"'
            && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    let close = (open + hashes + 1..chars.len()).find(|at| closes(*at))?;
    Some(close + 1 + hashes)
}

/// Blanked source without the items under `#[cfg(test)]`.
pub fn without_tests(blanked: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut text = blanked.to_owned();
    while let Some(start) = text.find(MARK) {
        let end = start + end_of_item(&text[start..]);
        let newlines = "\n".repeat(text[start..end].matches('\n').count());
        text.replace_range(start..end, &newlines);
    }
    text
}

/// The end of the item at the beginning: behind its `;`, or behind the brace that closes its body.
fn end_of_item(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// Name, first line (from 1) and number of lines of every function with a body.
pub fn functions(blanked: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in blanked.match_indices("fn ") {
        let begins_word = !blanked[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let name: String =
            blanked[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !begins_word || name.is_empty() {
            continue;
        }
        let end = at + end_of_item(&blanked[at..]);
        let first_line = blanked[..at].matches('\n').count() + 1;
        found.push((name, first_line, blanked[at..end].matches('\n').count() + 1));
    }
    found
}

/// Whether `word` stands there as a path's first segment: `word::`, not `other::word::`.
pub fn uses_crate(text: &str, word: &str) -> bool {
    text.match_indices(&format!("{word}::")).any(|(at, _)| {
        let before = text[..at].trim_end_matches(' ');
        let joined = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let nested = before.ends_with(':') && before.len() == at;
        !joined && (!nested || before.ends_with("<::"))
    })
}

/// The rooms of the crate that a module at `depth` (1: a room itself) names: through `crate::`, or
/// through as many `super::` as lead to the root.
pub fn rooms_named(text: &str, depth: usize) -> BTreeSet<String> {
    let to_root = "super::".repeat(depth);
    let mut rooms = BTreeSet::new();
    for prefix in ["crate::", to_root.as_str()] {
        for (at, _) in text.match_indices(prefix) {
            let before = &text[..at];
            let joined = before.ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
            if !joined {
                add_segments(&text[at + prefix.len()..], &mut rooms);
            }
        }
    }
    rooms
}

/// The first segments of what follows a prefix: one name, or those of a `{…}` group.
fn add_segments(rest: &str, rooms: &mut BTreeSet<String>) {
    let name_of = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = rest.strip_prefix('{') else {
        rooms.insert(name_of(rest));
        return;
    };
    let (mut depth, mut item) = (0_usize, String::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => {
                rooms.insert(name_of(&item));
                item.clear();
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        item.push(c);
    }
    rooms.insert(name_of(&item));
    rooms.remove("");
}
