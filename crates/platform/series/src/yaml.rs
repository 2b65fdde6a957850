//! As much of YAML as files of rules are written in: blocks of maps and lists, plain and quoted words on one line, comments.
//! What else YAML has is refused rather than misread.

/// A file of rules cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct YamlError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: &'static str,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A word; an empty one where nothing is written.
    Text(String),
    /// `- one`
    List(Vec<Node>),
    /// `key: value`, in the order of the file.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// What is under a key of a map.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The word under a key of a map.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The list under a key of a map; empty where there is none.
    #[must_use]
    pub fn list(&self, key: &str) -> &[Self] {
        match self.get(key) {
            Some(Self::List(items)) => items,
            _ => &[],
        }
    }

    /// The words of the map under a key, with theirs; empty where there is none.
    #[must_use]
    pub fn pairs(&self, key: &str) -> Vec<(&str, &str)> {
        let Some(Self::Map(pairs)) = self.get(key) else { return Vec::new() };
        let texts = pairs.iter().filter_map(|(name, node)| match node {
            Self::Text(text) => Some((name.as_str(), text.as_str())),
            _ => None,
        });
        texts.collect()
    }
}

struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

/// Reads a file.
///
/// # Errors
/// When it is not YAML, or more of it than is read here.
pub fn read(text: &str) -> Result<Node, YamlError> {
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let text = line.trim_start_matches(' ');
        let number = at + 1;
        if text.starts_with('\t') {
            return Err(YamlError { line: number, why: "is indented with a tab" });
        }
        if !text.trim().is_empty() && !text.starts_with('#') {
            lines.push(Line { number, indent: line.len() - text.len(), text: text.trim_end() });
        }
    }
    let Some(first) = lines.first() else { return Ok(Node::Text(String::new())) };
    let (indent, mut at) = (first.indent, 0);
    let node = block(&mut lines, &mut at, indent)?;
    match lines.get(at) {
        None => Ok(node),
        Some(line) => Err(YamlError { line: line.number, why: "is indented unlike what it belongs to" }),
    }
}

fn block(lines: &mut [Line<'_>], at: &mut usize, indent: usize) -> Result<Node, YamlError> {
    if is_item(lines[*at].text) { list(lines, at, indent) } else { map(lines, at, indent) }
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

fn list(lines: &mut [Line<'_>], at: &mut usize, indent: usize) -> Result<Node, YamlError> {
    let mut items = Vec::new();
    while let Some(line) = lines.get_mut(*at).filter(|line| line.indent == indent && is_item(line.text)) {
        let text = line.text[1..].trim_start();
        if key(text).is_none() {
            items.push(Node::Text(scalar(text, line.number)?));
            *at += 1;
            continue;
        }
        // A map that begins behind the dash.
        let inner = indent + line.text.len() - text.len();
        (line.indent, line.text) = (inner, text);
        items.push(map(lines, at, inner)?);
    }
    Ok(Node::List(items))
}

fn map(lines: &mut [Line<'_>], at: &mut usize, indent: usize) -> Result<Node, YamlError> {
    let mut pairs: Vec<(String, Node)> = Vec::new();
    while let Some(line) = lines.get(*at).filter(|line| line.indent == indent && !is_item(line.text)) {
        let number = line.number;
        let Some((name, value)) = key(line.text) else {
            return Err(YamlError { line: number, why: "is no `key: value`" });
        };
        if pairs.iter().any(|(known, _)| known == name) {
            return Err(YamlError { line: number, why: "repeats a key" });
        }
        let (name, value) = (name.to_owned(), scalar(value, number)?);
        let is_empty = line.text.ends_with(':');
        *at += 1;
        let inner = lines
            .get(*at)
            .filter(|next| is_empty && (next.indent > indent || next.indent == indent && is_item(next.text)));
        let node = match inner.map(|next| next.indent) {
            Some(inner) => block(lines, at, inner)?,
            None => Node::Text(value),
        };
        pairs.push((name, node));
    }
    Ok(Node::Map(pairs))
}

/// A key, and what follows it.
fn key(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once(':')?;
    let is_key = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    (is_key && (rest.is_empty() || rest.starts_with(' '))).then(|| (name, rest.trim_start()))
}

fn scalar(text: &str, line: usize) -> Result<String, YamlError> {
    let wrong = |why| YamlError { line, why };
    let rest = |rest: &str| rest.trim_start().is_empty() || rest.trim_start().starts_with('#');
    if let Some(quoted) = text.strip_prefix('\'') {
        let (mut word, mut left) = (String::new(), quoted);
        loop {
            let (part, after) = left.split_once('\'').ok_or(wrong("has a word without its closing quote"))?;
            word.push_str(part);
            match after.strip_prefix('\'') {
                Some(more) => {
                    word.push('\'');
                    left = more;
                }
                None if rest(after) => return Ok(word),
                None => return Err(wrong("has something behind a quoted word")),
            }
        }
    }
    if let Some(quoted) = text.strip_prefix('"') {
        let (word, after) = quoted.split_once('"').ok_or(wrong("has a word without its closing quote"))?;
        return match !word.contains('\\') && rest(after) {
            true => Ok(word.to_owned()),
            false => Err(wrong("has an escape, or something behind a quoted word")),
        };
    }
    if text.starts_with(['[', '{', '&', '*', '|', '>', '!', '%', '@', '`']) {
        return Err(wrong("begins a value of a kind that is not read here"));
    }
    Ok(text.split(" #").next().unwrap_or(text).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Node {
        Node::Text(text.to_owned())
    }

    #[test]
    fn maps_lists_and_words_are_read() {
        let node = read(
            "# first\na: 1 # one\nb:\n  - x: 'it''s # not'\n    y: \"two\"\n  -   z:\n  - word\nc:\n- 1\n- 2\nd:\n",
        )
        .unwrap();
        let map = |pairs: &[(&str, Node)]| {
            Node::Map(pairs.iter().map(|(name, node)| ((*name).to_owned(), node.clone())).collect())
        };
        let b = vec![map(&[("x", text("it's # not")), ("y", text("two"))]), map(&[("z", text(""))]), text("word")];
        let expected = map(&[
            ("a", text("1")),
            ("b", Node::List(b)),
            ("c", Node::List(vec![text("1"), text("2")])),
            ("d", text("")),
        ]);
        assert_eq!(node, expected);
        assert_eq!((node.text("a"), node.list("c").len(), node.list("a").len()), (Some("1"), 2, 0));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        for (wrong, line) in [
            ("a: [1]", 1),
            ("a: 1\nb: |\n  text", 2),
            ("a: 1\n\tb: 2", 2),
            ("a: 'x", 1),
            ("a: 'x' y", 1),
            ("a: 1\na: 2", 2),
            ("a:\n  b: 1\n c: 2", 3),
            ("words", 1),
            ("a: \"\\n\"", 1),
        ] {
            assert_eq!(read(wrong).unwrap_err().line, line, "{wrong}");
        }
    }
}
