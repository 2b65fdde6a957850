//! Sets words into a box. A picture cannot ask how wide a letter is in the reader's font, so widths are estimated a
//! little too wide.

use super::{escape_into, put};

/// Old-style serifs that systems come with, most beautiful first.
pub(super) const SERIF: &str = "'Iowan Old Style','Palatino Linotype','URW Palladio L',P052,Palatino,'Book Antiqua',Georgia,'Liberation Serif','Times New Roman',serif";
/// Grotesques that systems come with.
pub(super) const SANS: &str =
    "'Gill Sans','Gill Sans MT',Optima,Candara,'Avenir Next','Helvetica Neue',Arial,'Liberation Sans',sans-serif";

/// How a line begins and ends.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
}

/// A box to fill with words.
pub(super) struct Setting<'a> {
    pub(super) x: f64,
    /// Top of the box.
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) largest: f64,
    pub(super) smallest: f64,
    pub(super) family: &'a str,
    pub(super) weight: u32,
    pub(super) italic: bool,
    pub(super) capitals: bool,
    /// Extra space between letters, in parts of the size.
    pub(super) tracking: f64,
    pub(super) anchor: Anchor,
    pub(super) fill: &'a str,
    /// Where the words stand in a box that is higher than they need: 0 at its top, 1 at its bottom.
    pub(super) gravity: f64,
}

const LEADING: f64 = 1.14;

fn width_of(text: &str, tracking: f64) -> f64 {
    text.chars()
        .map(|c| {
            tracking
                + match c {
                    'i' | 'j' | 'l' | '.' | ',' | '\'' | '’' | '!' | ':' | ';' | '|' | 'I' => 0.33,
                    'f' | 't' | 'r' | 's' | '-' | ' ' | '(' | ')' | 'J' => 0.43,
                    'm' | 'w' | 'M' | 'W' | '—' | 'Æ' | '@' => 0.93,
                    c if c.is_ascii_uppercase() => 0.73,
                    c if ('\u{1100}'..='\u{11ff}').contains(&c) || ('\u{2e80}'..='\u{ffdc}').contains(&c) => 1.02,
                    c if c.is_uppercase() => 0.76,
                    _ => 0.56,
                }
        })
        .sum()
}

/// Scripts that are written without blanks, whose lines may end behind any character: Thai, Lao, Tibetan, Burmese, Khmer,
/// and those of East Asia.
fn breaks_anywhere(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{a4cf}' | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
}

/// Breaks words into lines no wider than `width` (in parts of the size). A word that is too wide is cut, with a hyphen
/// where its script has one.
fn wrap(text: &str, width: f64, tracking: f64) -> (Vec<String>, bool) {
    let (mut lines, mut line, mut cut) = (Vec::new(), String::new(), false);
    for word in text.split_whitespace() {
        let joined = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if width_of(&joined, tracking) <= width {
            line = joined;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            line.push(c);
            if width_of(&line, tracking) > width && line.chars().count() > 1 {
                let last = line.pop().unwrap_or_default();
                if c.is_alphabetic() && !breaks_anywhere(c) {
                    cut = true;
                    if line.chars().count() > 2 && line.ends_with(char::is_alphabetic) {
                        line.push('-');
                    }
                }
                lines.push(std::mem::replace(&mut line, last.to_string()));
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    (lines, cut)
}

/// Evens the lines out: the narrowest box that needs no more lines.
fn balance(text: &str, width: f64, tracking: f64) -> Vec<String> {
    let (mut best, _) = wrap(text, width, tracking);
    for step in 1..10 {
        let (lines, cut) = wrap(text, width * (1.0 - 0.05 * f64::from(step)), tracking);
        if lines.len() > best.len() || cut {
            break;
        }
        best = lines;
    }
    best
}

impl Setting<'_> {
    /// Draws the words as large as they fit. Returns the top and the bottom of what was drawn.
    pub(super) fn set(&self, svg: &mut String, text: &str) -> (f64, f64) {
        let text = if self.capitals { text.to_uppercase() } else { text.to_owned() };
        let mut size = self.largest;
        let mut lines;
        loop {
            let (wrapped, cut) = wrap(&text, self.width / size, self.tracking);
            let fits = wrapped.len() as f64 * size * LEADING <= self.height && !cut;
            if fits || size <= self.smallest {
                lines = if fits { balance(&text, self.width / size, self.tracking) } else { wrapped };
                break;
            }
            size = (size * 0.94).max(self.smallest);
        }
        let most = ((self.height / (size * LEADING)) as usize).max(1);
        if lines.len() > most {
            lines.truncate(most);
            if let Some(last) = lines.last_mut() {
                let kept: String = last.chars().take(last.chars().count().saturating_sub(1)).collect();
                *last = format!("{}…", kept.trim_end());
            }
        }
        let block = lines.len() as f64 * size * LEADING;
        let top = self.y + (self.height - block).max(0.0) * self.gravity;
        let (x, anchor) = match self.anchor {
            Anchor::Start => (self.x, "start"),
            Anchor::Middle => (self.x + self.width / 2.0, "middle"),
        };
        put(
            svg,
            format_args!(
                r#"<g font-family="{}" font-size="{size:.1}" font-weight="{}" font-style="{}" letter-spacing="{:.1}" text-anchor="{anchor}" fill="{}">"#,
                self.family,
                self.weight,
                if self.italic { "italic" } else { "normal" },
                self.tracking * size,
                self.fill
            ),
        );
        for (number, line) in lines.iter().enumerate() {
            let baseline = top + size * (0.86 + number as f64 * LEADING);
            put(svg, format_args!(r#"<text x="{x:.1}" y="{baseline:.1}">"#));
            escape_into(svg, line);
            svg.push_str("</text>");
        }
        svg.push_str("</g>");
        (top, top + block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_whole_while_they_fit() {
        let (lines, cut) = wrap("The Count of Monte Cristo", 8.0, 0.0);
        assert!(!cut);
        assert_eq!(lines.join(" "), "The Count of Monte Cristo");
        assert!(lines.iter().all(|line| width_of(line, 0.0) <= 8.0));
    }

    #[test]
    fn a_word_is_cut_only_when_nothing_else_helps_and_with_a_hyphen() {
        for title in ["Изумрудного", "Donaudampfschifffahrt", "Ελληνικά", "Þórðarsaga"] {
            let (lines, cut) = wrap(title, 4.0, 0.0);
            assert!(cut, "{title} would rather be set smaller");
            let whole = lines.len() - 1;
            assert!(lines[..whole].iter().all(|line| line.ends_with('-')), "{lines:?}");
            assert_eq!(lines.concat().replace('-', ""), title);
        }
        let (lines, cut) = wrap("三国演义三国演义", 4.2, 0.0);
        assert!(!cut && lines.len() == 2 && lines.concat() == "三国演义三国演义", "{lines:?}");
    }

    #[test]
    fn lines_are_evened_out() {
        let lines = balance("One Two Three Four", 8.0, 0.0);
        assert_eq!(lines, ["One Two", "Three Four"], "rather than three words and one");
    }
}
