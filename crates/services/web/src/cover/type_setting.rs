//! Sets words into a box. Words in the shop's serif are outlines, whose widths are known; in another font a picture cannot
//! ask how wide a letter is, so widths are estimated a little too wide.

use hypher::Lang;

use super::{escape_into, outline::Serif, put};

/// Old-style serifs that systems come with, for letters that the shop's own serif does not have.
pub(super) const SERIF: &str = "Lora,'Iowan Old Style','Palatino Linotype','URW Palladio L',P052,Palatino,'Book Antiqua',Georgia,'Liberation Serif','Times New Roman',serif";
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
    /// Smaller only where words would be cut or left out otherwise.
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
    /// The language of the words, as in BCP 47, for breaks between syllables; may be empty.
    pub(super) language: &'a str,
}

const LEADING: f64 = 1.14;
/// How much smaller than `smallest` words may become before they are cut.
const LAST_RESORT: f64 = 0.62;

/// How words are measured and broken.
#[derive(Clone, Copy)]
struct Words {
    serif: Option<Serif>,
    tracking: f64,
    language: Option<Lang>,
}

/// What became of the words in lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Broken {
    /// Lines end between words, or behind a hyphen that was there.
    Nowhere,
    /// Also between syllables.
    BetweenSyllables,
    /// Somewhere in a word, because nothing else helps.
    Anywhere,
}

impl Words {
    fn width(&self, text: &str) -> f64 {
        text.chars().map(|c| self.tracking + self.serif.map_or_else(|| estimated(c), |serif| serif.advance(c))).sum()
    }

    /// Breaks words into lines no wider than `width` (in parts of the size). A word that is too wide is broken between
    /// syllables where its language is known, with a hyphen, or else anywhere, without one: a wrong hyphen is worse than
    /// none.
    fn wrap(&self, text: &str, width: f64) -> (Vec<String>, Broken) {
        let (mut lines, mut line, mut broken) = (Vec::new(), String::new(), Broken::Nowhere);
        for word in text.split_whitespace() {
            let mut gap = if line.is_empty() { "" } else { " " };
            for part in self.parts(word) {
                if self.width(&format!("{line}{gap}{part}")) <= width {
                    line.push_str(gap);
                    line.push_str(part);
                    gap = "";
                    continue;
                }
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                gap = "";
                if self.width(part) <= width {
                    part.clone_into(&mut line);
                    continue;
                }
                let (mut whole, rest, how) = self.cut(part, width);
                broken = broken.max(how);
                lines.append(&mut whole);
                line = rest;
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
        (lines, broken)
    }

    /// The parts of a word behind which a line may end as it is: at hyphens, and between the letters of scripts that are
    /// written without blanks.
    fn parts<'a>(&self, word: &'a str) -> Vec<&'a str> {
        let (mut parts, mut from) = (Vec::new(), 0);
        let mut letters = word.char_indices().peekable();
        while let Some((at, c)) = letters.next() {
            let Some((next, following)) = letters.peek().copied() else { break };
            let dash = matches!(c, '-' | '‐' | '–' | '—' | '/') && at > from;
            if dash || (breaks_anywhere(c) && breaks_anywhere(following)) {
                parts.push(&word[from..next]);
                from = next;
            }
        }
        parts.push(&word[from..]);
        parts
    }

    /// Cuts a part of a word that is wider than a line: whole lines, and what is left for the next one.
    fn cut(&self, part: &str, width: f64) -> (Vec<String>, String, Broken) {
        if let Some(language) = self.language
            && let Some((lines, rest)) = self.syllables(part, language, width)
        {
            return (lines, rest, Broken::BetweenSyllables);
        }
        let (mut lines, mut line) = (Vec::new(), String::new());
        for c in part.chars() {
            line.push(c);
            if self.width(&line) > width && line.chars().count() > 1 {
                line.pop();
                lines.push(std::mem::replace(&mut line, c.to_string()));
            }
        }
        (lines, line, Broken::Anywhere)
    }

    /// `None` when a syllable alone is too wide.
    fn syllables(&self, part: &str, language: Lang, width: f64) -> Option<(Vec<String>, String)> {
        let (mut lines, mut line) = (Vec::new(), String::new());
        for syllable in hypher::hyphenate(part, language) {
            let joined = format!("{line}{syllable}");
            if !line.is_empty() && self.width(&joined) + self.width("-") > width {
                lines.push(format!("{line}-"));
                syllable.clone_into(&mut line);
            } else {
                line = joined;
            }
        }
        let fits = |line: &String| self.width(line) <= width;
        (lines.iter().all(fits) && fits(&line)).then_some((lines, line))
    }

    /// Evens the lines out: the narrowest box that needs no more lines.
    fn balance(&self, text: &str, width: f64) -> Vec<String> {
        let (mut best, _) = self.wrap(text, width);
        for step in 1..10 {
            let (lines, broken) = self.wrap(text, width * (1.0 - 0.05 * f64::from(step)));
            if lines.len() > best.len() || broken > Broken::Nowhere {
                break;
            }
            best = lines;
        }
        best
    }

    /// A line that says that words were left out, at the end of a word if there is one.
    fn shortened(&self, line: &str, width: f64) -> String {
        let mut cut = line.to_owned();
        while self.width(&cut) + self.width("…") > width && cut.pop().is_some() {}
        let whole =
            if cut.len() < line.len() { cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words) } else { &cut };
        format!("{}…", whole.trim_end_matches([' ', ',', '-', '&']))
    }
}

fn estimated(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | '\'' | '’' | '!' | ':' | ';' | '|' | 'I' => 0.33,
        'f' | 't' | 'r' | 's' | '-' | ' ' | '(' | ')' | 'J' => 0.43,
        'm' | 'w' | 'M' | 'W' | '—' | 'Æ' | '@' => 0.93,
        c if c.is_ascii_uppercase() => 0.73,
        c if ('\u{1100}'..='\u{11ff}').contains(&c) || ('\u{2e80}'..='\u{ffdc}').contains(&c) => 1.02,
        c if c.is_uppercase() => 0.76,
        _ => 0.56,
    }
}

/// Scripts that are written without blanks, whose lines may end behind any character: Thai, Lao, Tibetan, Burmese, Khmer,
/// and those of East Asia.
fn breaks_anywhere(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{a4cf}' | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
}

/// The patterns for a language that they are there for.
fn patterns(language: &str) -> Option<Lang> {
    let code: [u8; 2] = language.get(..2)?.to_ascii_lowercase().as_bytes().try_into().ok()?;
    if language.len() > 2 && !language[2..].starts_with(['-', '_']) {
        return None;
    }
    Lang::from_iso(code)
}

impl Setting<'_> {
    /// Draws the words as large as they fit. Returns the top and the bottom of what was drawn.
    pub(super) fn set(&self, svg: &mut String, text: &str) -> (f64, f64) {
        let text = if self.capitals { text.to_uppercase() } else { text.to_owned() };
        let serif = if self.family == SERIF { Serif::for_text(&format!("{text}-…"), self.italic) } else { None };
        let words = Words { serif, tracking: self.tracking, language: patterns(self.language) };
        let (size, mut lines) = self.fit(&words, &text);
        let most = ((self.height / (size * LEADING)) as usize).max(1);
        if lines.len() > most {
            lines.truncate(most);
            if let Some(last) = lines.last_mut() {
                *last = words.shortened(last, self.width / size);
            }
        }
        let block = lines.len() as f64 * size * LEADING;
        let top = self.y + (self.height - block).max(0.0) * self.gravity;
        let baseline = |number: usize| top + size * (0.86 + number as f64 * LEADING);
        if let Some(serif) = serif {
            svg.push_str("<defs>");
            serif.define(svg, &lines.concat());
            svg.push_str("</defs>");
            put(svg, format_args!(r#"<g fill="{}">"#, self.fill));
            for (number, line) in lines.iter().enumerate() {
                let left = match self.anchor {
                    Anchor::Start => self.x,
                    // The space behind the last letter does not count.
                    Anchor::Middle => self.x + (self.width - (words.width(line) - self.tracking) * size) / 2.0,
                };
                serif.line(svg, line, left, baseline(number), size, self.tracking);
            }
            svg.push_str("</g>");
            return (top, top + block);
        }
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
            put(svg, format_args!(r#"<text x="{x:.1}" y="{:.1}">"#, baseline(number)));
            escape_into(svg, line);
            svg.push_str("</text>");
        }
        svg.push_str("</g>");
        (top, top + block)
    }

    /// The largest size at which the words fit whole; below `smallest` rather than broken.
    fn fit(&self, words: &Words, text: &str) -> (f64, Vec<String>) {
        let floor = self.smallest * LAST_RESORT;
        let mut size = self.largest;
        loop {
            let (lines, broken) = words.wrap(text, self.width / size);
            let fits = lines.len() as f64 * size * LEADING <= self.height;
            if fits && broken == Broken::Nowhere {
                return (size, words.balance(text, self.width / size));
            }
            if size <= floor || (fits && size <= self.smallest && broken == Broken::BetweenSyllables) {
                return (size, lines);
            }
            size = (size * 0.94).max(if size > self.smallest { self.smallest } else { floor });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimating(language: &str) -> Words {
        Words { serif: None, tracking: 0.0, language: patterns(language) }
    }

    #[test]
    fn words_are_kept_whole_while_they_fit() {
        let words = estimating("en");
        let (lines, broken) = words.wrap("The Count of Monte Cristo", 8.0);
        assert_eq!(broken, Broken::Nowhere);
        assert_eq!(lines.join(" "), "The Count of Monte Cristo");
        assert!(lines.iter().all(|line| words.width(line) <= 8.0));
    }

    #[test]
    fn a_word_is_hyphenated_between_its_syllables() {
        for (language, word, expected) in [
            ("de", "Donaudampfschifffahrt", ["Donau-", "dampf-", "schiff-", "fahrt"].as_slice()),
            ("de-CH", "Verwandlung", &["Ver-", "wand-", "lung"]),
            ("en", "Understanding", &["Under-", "stand-", "ing"]),
            ("ru", "Изумрудного", &["Изу-", "мруд-", "ного"]),
            ("fr", "Correspondance", &["Corres-", "pon-", "dance"]),
            ("es", "Cuatrocientos", &["Cua-", "tro-", "cien-", "tos"]),
        ] {
            let (lines, broken) = estimating(language).wrap(word, 3.6);
            assert_eq!(broken, Broken::BetweenSyllables, "{word}: {lines:?}");
            assert_eq!(lines, expected, "{word}");
        }
    }

    #[test]
    fn a_word_of_a_language_nobody_knows_gets_no_hyphen() {
        for (language, word) in [("", "Donaudampfschifffahrt"), ("zxx", "Þórðarsaga"), ("ger", "Donaudampfschifffahrt")]
        {
            let (lines, broken) = estimating(language).wrap(word, 4.0);
            assert_eq!(broken, Broken::Anywhere, "{word}");
            assert_eq!(lines.concat(), word, "no letter is added: {lines:?}");
        }
    }

    #[test]
    fn a_line_may_end_behind_a_hyphen_that_is_there() {
        let (lines, broken) = estimating("en").wrap("Catch-Twentytwo", 6.0);
        assert_eq!(
            (lines.as_slice(), broken),
            (["Catch-".to_owned(), "Twentytwo".to_owned()].as_slice(), Broken::Nowhere)
        );
        let (lines, broken) = estimating("zh").wrap("三国演义三国演义", 4.2);
        assert!(broken == Broken::Nowhere && lines.len() == 2 && lines.concat() == "三国演义三国演义", "{lines:?}");
    }

    #[test]
    fn lines_are_evened_out() {
        let lines = estimating("en").balance("One Two Three Four", 8.0);
        assert_eq!(lines, ["One Two", "Three Four"], "rather than three words and one");
    }

    #[test]
    fn what_is_left_out_ends_with_a_word() {
        let words = estimating("en");
        assert_eq!(words.shortened("Luis Vélez de Guevara", 7.0), "Luis Vélez…");
        assert_eq!(words.shortened("Emma", 7.0), "Emma…");
        assert!(words.width(&words.shortened(&"x".repeat(50), 7.0)) <= 7.0);
    }

    #[test]
    fn a_long_word_is_set_smaller_before_it_is_broken() {
        for (language, title) in [
            ("de", "Rindfleischetikettierung"),
            ("", "Antidisestablishment"),
            ("fi", "Tuntematon Sotilas"),
            ("ru", "Обыкновенная история"),
        ] {
            let mut svg = String::new();
            let setting = Setting {
                x: 0.0,
                y: 0.0,
                width: 220.0,
                height: 108.0,
                largest: 36.0,
                smallest: 14.0,
                family: SERIF,
                weight: 600,
                italic: false,
                capitals: false,
                tracking: 0.0,
                anchor: Anchor::Middle,
                fill: "#000",
                gravity: 0.0,
                language,
            };
            let words = Words { serif: Serif::for_text(title, false), tracking: 0.0, language: patterns(language) };
            let (size, lines) = setting.fit(&words, title);
            assert_eq!(lines.join(" "), title, "at {size}");
            setting.set(&mut svg, title);
            assert!(svg.contains("<use") && !svg.contains("<text"), "{title} is set in the shop's serif");
        }
    }
}
