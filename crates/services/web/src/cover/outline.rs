//! The shop's serif as outlines: a picture cannot load the font of the page that it is on, and whatever serif the machine
//! has would be another one everywhere.

use std::{collections::BTreeSet, sync::LazyLock};

use ttf_parser::{Face, GlyphId, OutlineBuilder};

use super::put;

static ROMAN: LazyLock<Option<Face<'static>>> =
    LazyLock::new(|| Face::parse(include_bytes!("../../fonts/cover-serif.ttf"), 0).ok());
static ITALIC: LazyLock<Option<Face<'static>>> =
    LazyLock::new(|| Face::parse(include_bytes!("../../fonts/cover-serif-italic.ttf"), 0).ok());

/// A cut of the serif.
#[derive(Clone, Copy)]
pub(super) struct Serif {
    face: &'static Face<'static>,
    italic: bool,
}

impl Serif {
    /// The cut that has every letter of a text; `None` when none has.
    pub(super) fn for_text(text: &str, italic: bool) -> Option<Self> {
        let face = if italic { ITALIC.as_ref() } else { ROMAN.as_ref() }?;
        let known = |c: char| c.is_whitespace() || face.glyph_index(c).is_some();
        text.chars().all(known).then_some(Self { face, italic })
    }

    /// Units of the outlines in one size; a test checks the files.
    pub(super) const EM: f64 = 1000.0;

    /// How far a letter goes, in parts of the size.
    pub(super) fn advance(self, c: char) -> f64 {
        let glyph = self.face.glyph_index(if c.is_whitespace() { ' ' } else { c }).unwrap_or_default();
        f64::from(self.face.glyph_hor_advance(glyph).unwrap_or_default()) / Self::EM
    }

    /// Defines the letters of a text as shapes, each once in a picture.
    pub(super) fn define(self, svg: &mut String, text: &str) {
        let glyphs: BTreeSet<GlyphId> = text.chars().filter_map(|c| self.face.glyph_index(c)).collect();
        for glyph in glyphs {
            let id = self.id(glyph);
            if svg.contains(&format!(r#"<path id="{id}""#)) {
                continue;
            }
            let mut path = Path::default();
            if self.face.outline_glyph(glyph, &mut path).is_some() {
                put(svg, format_args!(r#"<path id="{id}" d="{}"/>"#, path.d));
            }
        }
    }

    /// Sets a line whose letters are defined, from `x` on; `size` and `x` in the picture's units, `tracking` in parts of
    /// the size.
    pub(super) fn line(self, svg: &mut String, line: &str, x: f64, baseline: f64, size: f64, tracking: f64) {
        let scale = size / Self::EM;
        // Outlines count upwards.
        put(svg, format_args!(r#"<g transform="translate({x:.1} {baseline:.1}) scale({scale:.4} -{scale:.4})">"#));
        let mut at = 0.0;
        for c in line.chars() {
            if let Some(glyph) = self.face.glyph_index(c)
                && self.face.glyph_bounding_box(glyph).is_some()
            {
                put(svg, format_args!(r##"<use href="#{}" x="{:.0}"/>"##, self.id(glyph), at * Self::EM));
            }
            at += self.advance(c) + tracking;
        }
        svg.push_str("</g>");
    }

    fn id(self, glyph: GlyphId) -> String {
        format!("{}{}", if self.italic { 'i' } else { 'g' }, glyph.0)
    }
}

/// A path in whole units and relative steps, which is short.
#[derive(Default)]
struct Path {
    d: String,
    at: (i32, i32),
    /// Where the contour began, and where its end goes back to.
    start: (i32, i32),
}

impl Path {
    fn step(&mut self, command: char, points: &[(f32, f32)]) {
        use std::fmt::Write as _;
        self.d.push(command);
        let from = self.at;
        for (place, (x, y)) in points.iter().enumerate() {
            let to = (x.round() as i32, y.round() as i32);
            let gap = if place == 0 { "" } else { " " };
            let _ = write!(self.d, "{gap}{} {}", to.0 - from.0, to.1 - from.1);
            self.at = to;
        }
    }
}

impl OutlineBuilder for Path {
    fn move_to(&mut self, x: f32, y: f32) {
        self.step('m', &[(x, y)]);
        self.start = self.at;
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.step('l', &[(x, y)]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.step('q', &[(x1, y1), (x, y)]);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.step('c', &[(x1, y1), (x2, y2), (x, y)]);
    }

    fn close(&mut self) {
        self.d.push('z');
        self.at = self.start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin_and_cyrillic_are_outlines_and_other_scripts_are_left_to_the_machine() {
        for text in ["Pride and Prejudice", "Wałęsa’s “Ångström” — naïve…", "Война и мир", "Số đỏ", "A\u{a0}B"]
        {
            assert!(Serif::for_text(text, false).is_some() && Serif::for_text(text, true).is_some(), "{text}");
        }
        for text in ["三国演义", "ألف ليلة وليلة", "Ὀδύσσεια", "Pride 三"] {
            assert!(Serif::for_text(text, false).is_none(), "{text}");
        }
    }

    #[test]
    fn a_letter_is_drawn_once() {
        let serif = Serif::for_text("Bananas", false).unwrap();
        let mut svg = String::new();
        serif.define(&mut svg, "Bananas");
        serif.define(&mut svg, "Ban");
        assert_eq!(svg.matches("<path").count(), 4, "{svg}");
        serif.line(&mut svg, "Bananas", 0.0, 0.0, 10.0, 0.0);
        assert_eq!(svg.matches("<use").count(), 7);
        assert!(serif.advance('m') > serif.advance('i'));
    }

    #[test]
    fn both_cuts_have_the_same_units() {
        for italic in [false, true] {
            assert_eq!(f64::from(Serif::for_text("a", italic).unwrap().face.units_per_em()), Serif::EM);
        }
    }
}
