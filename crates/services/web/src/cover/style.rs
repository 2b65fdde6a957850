//! The styles of drawn covers. Each draws a whole cover: ground, picture, words.

use std::f64::consts::PI;

use super::{
    Chance, HEIGHT, WIDTH, Words,
    ornament::{self, Paper},
    outline::Serif,
    palette::Palette,
    put, rect,
    type_setting::{Anchor, SANS, SERIF, Setting},
};

/// How a cover is composed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Three bands, the title in the middle one.
    Bands,
    /// Cloth with a gilt frame and a rosette.
    Cloth,
    /// Quarter circles on a grid.
    Tiles,
    /// Patterned paper with a pasted label.
    Label,
    /// Hills under a sun or moon.
    Hills,
    /// One giant letter.
    Initial,
    /// Stripes with a plate.
    Stripes,
    /// Stars and orbits.
    Night,
    /// Rays inside a stepped frame.
    Deco,
    /// Overlapping circles.
    Circles,
}

impl Style {
    #[cfg(test)]
    pub(super) const ALL: [Self; 10] = [
        Self::Bands,
        Self::Cloth,
        Self::Tiles,
        Self::Label,
        Self::Hills,
        Self::Initial,
        Self::Stripes,
        Self::Night,
        Self::Deco,
        Self::Circles,
    ];
}

/// Picks a style that suits the subject.
pub(super) fn choose(subject: &str, chance: &mut Chance) -> Style {
    use Style::{Bands, Circles, Cloth, Deco, Hills, Initial, Label, Night, Stripes, Tiles};
    const FITTING: &[(&[&str], &[Style])] = &[
        (&["science fiction", "space", "astro"], &[Night, Circles, Tiles, Deco]),
        (&["fantasy", "fairy", "myth", "folklore", "legend", "magic"], &[Night, Cloth, Deco, Hills, Label]),
        (&["horror", "crime", "myster", "thriller", "detective", "gothic"], &[Bands, Initial, Night, Stripes, Deco]),
        (&["poet", "poem", "verse"], &[Label, Cloth, Initial, Circles]),
        (&["travel", "nature", "sea", "adventure", "wild"], &[Hills, Circles, Cloth, Label]),
        (&["child", "humo", "cook", "young"], &[Tiles, Circles, Stripes, Hills, Label]),
        (&["science", "math", "econom", "comput", "psycholog"], &[Tiles, Circles, Bands, Stripes]),
        (
            &["philosoph", "essay", "politic", "history", "biograph", "memoir", "religio"],
            &[Bands, Cloth, Initial, Stripes, Label],
        ),
        (&["drama", "play", "theat"], &[Deco, Stripes, Cloth, Bands]),
        (&["romance", "love"], &[Label, Cloth, Hills, Deco, Circles]),
    ];
    const ANY: &[Style] = &[Bands, Cloth, Tiles, Label, Hills, Initial, Stripes, Deco, Circles];
    let subject = subject.to_lowercase();
    let fitting = FITTING.iter().find(|(words, _)| words.iter().any(|word| subject.contains(word)));
    *chance.pick(fitting.map_or(ANY, |(_, styles)| *styles))
}

fn serif(fill: &str) -> Setting<'_> {
    Setting {
        x: 50.0,
        y: 60.0,
        width: 312.0,
        height: 200.0,
        largest: 54.0,
        smallest: 17.0,
        family: SERIF,
        weight: 600,
        italic: false,
        capitals: false,
        tracking: 0.0,
        anchor: Anchor::Middle,
        fill,
        gravity: 0.0,
        language: "",
    }
}

/// Words of the book itself: its title, or what stands below it.
fn title_of<'a>(words: &Words<'a>, fill: &'a str) -> Setting<'a> {
    Setting { language: words.language, ..serif(fill) }
}

fn byline(fill: &str) -> Setting<'_> {
    Setting {
        height: 54.0,
        largest: 24.0,
        smallest: 15.0,
        family: SANS,
        weight: 500,
        capitals: true,
        tracking: 0.06,
        ..serif(fill)
    }
}

/// Title and subtitle, when the title has both.
fn split(title: &str) -> (&str, &str) {
    match title.split_once(": ").or_else(|| title.split_once("; or, ")) {
        Some((main, rest)) if main.chars().count() >= 3 => (main.trim(), rest.trim()),
        _ => (title, ""),
    }
}

fn authors(words: &Words<'_>) -> String {
    match words.authors {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [one, two] => format!("{one} & {two}"),
        [one, ..] => format!("{one} & others"),
    }
}

impl Style {
    pub(super) fn draw(self, svg: &mut String, words: &Words<'_>, palette: &Palette, chance: &mut Chance) {
        match self {
            Self::Bands => bands(svg, words, palette, chance),
            Self::Cloth => cloth(svg, words, palette, chance),
            Self::Tiles => tiles(svg, words, palette, chance),
            Self::Label => label(svg, words, palette, chance),
            Self::Hills => hills(svg, words, palette, chance),
            Self::Initial => initial(svg, words, palette, chance),
            Self::Stripes => stripes(svg, words, palette, chance),
            Self::Night => night(svg, words, palette, chance),
            Self::Deco => deco(svg, words, palette, chance),
            Self::Circles => circles(svg, words, palette, chance),
        }
    }
}

fn bands(svg: &mut String, words: &Words<'_>, palette: &Palette, chance: &mut Chance) {
    let (title, subtitle) = split(words.title);
    rect(svg, 0.0, 176.0, WIDTH, 248.0, palette.paper);
    put(
        svg,
        format_args!(
            r#"<path d="M0 184h400M0 416h400" stroke="{}" stroke-width="1.5"/><ellipse cx="206" cy="92" rx="124" ry="40" fill="{}"/>"#,
            palette.dark, palette.paper
        ),
    );
    let subject = if words.subject.is_empty() { "Fine books" } else { words.subject };
    Setting {
        x: 100.0,
        y: 68.0,
        width: 212.0,
        height: 48.0,
        largest: 22.0,
        smallest: 12.0,
        italic: true,
        weight: 500,
        gravity: 0.5,
        ..serif(palette.dark)
    }
    .set(svg, subject);
    let room = if subtitle.is_empty() { 146.0 } else { 112.0 };
    let (_, bottom) = Setting {
        x: 36.0,
        y: 200.0,
        width: 340.0,
        height: room,
        largest: 46.0,
        smallest: 15.0,
        gravity: 0.45,
        ..title_of(words, palette.dark)
    }
    .set(svg, title);
    if !subtitle.is_empty() {
        Setting {
            x: 48.0,
            y: bottom + 4.0,
            width: 316.0,
            height: 40.0,
            largest: 16.0,
            smallest: 11.0,
            italic: true,
            weight: 400,
            ..title_of(words, palette.dark)
        }
        .set(svg, subtitle);
    }
    put(svg, format_args!(r#"<path d="M176 362h60" stroke="{}" stroke-width="2"/>"#, palette.accent));
    Setting {
        x: 40.0,
        y: 374.0,
        width: 332.0,
        height: 32.0,
        largest: 21.0,
        smallest: 15.0,
        tracking: 0.02,
        capitals: false,
        ..byline(palette.dark)
    }
    .set(svg, &authors(words));
    ornament::rosette(svg, 206.0, 512.0, 46.0, *chance.pick(&[6, 8, 10, 12]), palette.ink);
}

fn cloth(svg: &mut String, words: &Words<'_>, palette: &Palette, chance: &mut Chance) {
    let (title, subtitle) = split(words.title);
    put(
        svg,
        format_args!(
            r##"<pattern id="weave" width="4" height="4" patternUnits="userSpaceOnUse"><path d="M0 0h2v1H0zM2 2h2v1H2z" fill="#000" opacity=".13"/><path d="M2 0h1v2H2zM0 2h1v2H0z" fill="#fff" opacity=".09"/></pattern><rect width="400" height="600" fill="url(#weave)"/>"##
        ),
    );
    let gilt = palette.ink;
    put(
        svg,
        format_args!(
            r#"<g fill="none" stroke="{gilt}"><rect x="44" y="34" width="324" height="532" stroke-width="2.4"/><rect x="52" y="42" width="308" height="516" stroke-width=".9"/></g>"#
        ),
    );
    for (x, y) in [(52.0, 42.0), (360.0, 42.0), (52.0, 558.0), (360.0, 558.0)] {
        let (dx, dy) = (if x < 200.0 { 1.0 } else { -1.0 }, if y < 300.0 { 1.0 } else { -1.0 });
        put(
            svg,
            format_args!(
                r#"<g transform="translate({x} {y}) scale({dx} {dy})" fill="none" stroke="{gilt}" stroke-width="1.5"><path d="M0 46C24 44 44 24 46 0M0 34C16 33 33 16 34 0M8 8c14 4 20 12 20 20-8 0-16-6-20-20z"/></g>"#
            ),
        );
    }
    let room = if subtitle.is_empty() { 168.0 } else { 128.0 };
    let (_, bottom) = Setting {
        x: 74.0,
        y: 98.0,
        width: 264.0,
        height: room,
        largest: 46.0,
        smallest: 16.0,
        gravity: 0.3,
        weight: 500,
        capitals: title.chars().count() < 22,
        tracking: 0.03,
        ..title_of(words, gilt)
    }
    .set(svg, title);
    if !subtitle.is_empty() {
        Setting {
            x: 84.0,
            y: bottom + 6.0,
            width: 244.0,
            height: 56.0,
            largest: 17.0,
            smallest: 11.0,
            italic: true,
            weight: 400,
            ..title_of(words, gilt)
        }
        .set(svg, subtitle);
    }
    match chance.up_to(3) {
        0 => ornament::rosette(svg, 206.0, 368.0, 74.0, *chance.pick(&[8, 12, 16]), gilt),
        1 => {
            ornament::rosette(svg, 206.0, 368.0, 50.0, *chance.pick(&[6, 8, 10]), gilt);
            put(
                svg,
                format_args!(
                    r#"<g fill="none" stroke="{gilt}" stroke-width="1.5"><circle cx="206" cy="368" r="68"/><circle cx="206" cy="368" r="74" stroke-dasharray="1.500 7" stroke-linecap="round" stroke-width="3"/></g>"#
                ),
            );
        }
        _ => put(
            svg,
            format_args!(
                r#"<g fill="none" stroke="{gilt}" stroke-width="1.8"><path d="M206 440V322M206 420c-40-2-62-26-62-58 36 0 60 20 62 58zM206 420c40-2 62-26 62-58-36 0-60 20-62 58zM206 366c-24-6-36-26-30-50 22 6 32 24 30 50zM206 366c24-6 36-26 30-50-22 6-32 24-30 50z"/><circle cx="206" cy="306" r="9"/><path d="M160 446h92"/></g>"#
            ),
        ),
    }
    Setting { x: 78.0, y: 486.0, width: 256.0, height: 44.0, largest: 21.0, gravity: 0.5, ..byline(gilt) }
        .set(svg, &authors(words));
}

fn tiles(svg: &mut String, words: &Words<'_>, palette: &Palette, chance: &mut Chance) {
    let (title, subtitle) = split(words.title);
    let side = 100.0;
    let colours = [palette.accent, palette.second, palette.ink, palette.paper];
    for row in 0..4 {
        for column in 0..4 {
            let (x, y) = (f64::from(column) * side, f64::from(row) * side);
            let (back, front) = match chance.up_to(3) {
                0 => (palette.ground, *chance.pick(&colours)),
                1 => (palette.second, palette.accent),
                _ => (palette.accent, *chance.pick(&[palette.ground, palette.paper, palette.ink])),
            };
            rect(svg, x, y, side + 0.5, side + 0.5, back);
            let turn = 90 * chance.up_to(4);
            let shape = match chance.up_to(5) {
                0 | 1 => "M0 0h100A100 100 0 0 1 0 100z",
                2 => "M0 0h100L0 100z",
                3 => "M50 0a50 50 0 0 1 0 100z",
                _ => "M0 0h50a50 50 0 0 1-50 50zM100 100H50a50 50 0 0 1 50-50z",
            };
            put(
                svg,
                format_args!(
                    r#"<path transform="translate({x} {y}) rotate({turn} 50 50)" d="{shape}" fill="{front}"/>"#
                ),
            );
        }
    }
    rect(svg, 0.0, 400.0, WIDTH, 200.0, palette.paper);
    let room = if subtitle.is_empty() { 112.0 } else { 84.0 };
    let (_, bottom) = Setting {
        x: 40.0,
        y: 420.0,
        width: 336.0,
        height: room,
        largest: 42.0,
        smallest: 15.0,
        anchor: Anchor::Start,
        ..title_of(words, palette.dark)
    }
    .set(svg, title);
    if !subtitle.is_empty() {
        Setting {
            x: 40.0,
            y: bottom + 4.0,
            width: 336.0,
            height: 36.0,
            largest: 15.0,
            smallest: 11.0,
            weight: 400,
            anchor: Anchor::Start,
            ..title_of(words, palette.dark)
        }
        .set(svg, subtitle);
    }
    Setting {
        x: 40.0,
        y: 548.0,
        width: 336.0,
        height: 30.0,
        largest: 21.0,
        capitals: false,
        tracking: 0.0,
        anchor: Anchor::Start,
        gravity: 1.0,
        ..byline(palette.dark)
    }
    .set(svg, &authors(words));
}

fn label(svg: &mut String, words: &Words<'_>, palette: &Palette, chance: &mut Chance) {
    let (title, subtitle) = split(words.title);
    let (line, spot) =
        if chance.up_to(2) == 0 { (palette.second, palette.accent) } else { (palette.accent, palette.ink) };
    chance.pick(&Paper::ALL).fill(svg, line, spot);
    put(
        svg,
        format_args!(
            r##"<rect x="72" y="92" width="268" height="216" fill="#000" opacity=".2"/><rect x="68" y="86" width="276" height="218" fill="{}"/><g fill="none" stroke="{}"><rect x="78" y="96" width="256" height="198" stroke-width="2"/><rect x="83" y="101" width="246" height="188" stroke-width=".8"/></g>"##,
            palette.paper, palette.dark
        ),
    );
    let room = if subtitle.is_empty() { 108.0 } else { 80.0 };
    let (_, bottom) = Setting {
        x: 96.0,
        y: 114.0,
        width: 220.0,
        height: room,
        largest: 36.0,
        smallest: 14.0,
        gravity: 0.5,
        ..title_of(words, palette.dark)
    }
    .set(svg, title);
    if !subtitle.is_empty() {
        Setting {
            x: 98.0,
            y: bottom + 2.0,
            width: 216.0,
            height: 34.0,
            largest: 14.0,
            smallest: 10.0,
            italic: true,
            weight: 400,
            ..title_of(words, palette.dark)
        }
        .set(svg, subtitle);
    }
    ornament::fleuron(svg, 206.0, 238.0, 56.0, palette.dark);
    Setting {
        x: 94.0,
        y: 250.0,
        width: 224.0,
        height: 32.0,
        largest: 21.0,
        smallest: 15.0,
        gravity: 0.4,
        ..byline(palette.dark)
    }
    .set(svg, &authors(words));
}

fn hills(svg: &mut String, words: &Words<'_>, palette: &Palette, chance: &mut Chance) {
    let (title, subtitle) = split(words.title);
    let (x, y, radius) = (chance.between(110.0, 300.0), chance.between(340.0, 376.0), chance.between(40.0, 62.0));
    put(svg, format_args!(r#"<circle cx="{x:.0}" cy="{y:.0}" r="{radius:.0}" fill="{}"/>"#, palette.accent));
    for ring in 1..4 {
        put(
            svg,
            format_args!(
                r#"<circle cx="{x:.0}" cy="{y:.0}" r="{:.0}" fill="none" stroke="{}" stroke-width="1.2" opacity=".5"/>"#,
                radius + 16.0 * f64::from(ring),
                palette.accent
            ),
        );
    }
    for (level, colour, opacity) in [
        (400.0, palette.second, "1"),
        (446.0, palette.dark, ".55"),
        (498.0, palette.dark, ".8"),
        (546.0, palette.dark, "1"),
    ] {
        put(svg, format_args!(r#"<g opacity="{opacity}">"#));
        let height = chance.between(16.0, 34.0);
        ornament::hills(svg, chance, level, height, colour);
        svg.push_str("</g>");
    }
    for _ in 0..chance.up_to(4) {
        let (x, y) = (chance.between(70.0, 330.0), chance.between(250.0, 330.0));
        put(
            svg,
            format_args!(
                r#"<path d="M{x:.0} {y:.0}q7-8 13 0q7-8 13 0" fill="none" stroke="{}" stroke-width="2" stroke-linecap="round"/>"#,
                palette.ink
            ),
        );
    }
    let room = if subtitle.is_empty() { 158.0 } else { 118.0 };
    let (_, bottom) = Setting {
        x: 44.0,
        y: 52.0,
        width: 324.0,
        height: room,
        largest: 52.0,
        smallest: 16.0,
        ..title_of(words, palette.ink)
    }
    .set(svg, title);
    let mut next = bottom + 6.0;
    if !subtitle.is_empty() {
        let below = Setting {
            x: 56.0,
            y: next,
            width: 300.0,
            height: 40.0,
            largest: 17.0,
            smallest: 11.0,
            italic: true,
            weight: 400,
            ..title_of(words, palette.ink)
        };
        next = below.set(svg, subtitle).1 + 4.0;
    }
    Setting { x: 50.0, y: next + 4.0, width: 312.0, height: 30.0, largest: 21.0, ..byline(palette.ink) }
        .set(svg, &authors(words));
}

/// One letter around `x`, filled, or drawn with a line of a width.
#[expect(clippy::too_many_arguments, reason = "each is a number of the drawing")]
fn giant(svg: &mut String, letter: &str, x: f64, y: f64, size: f64, italic: bool, paint: &str, stroke: f64) {
    if let Some(serif) = Serif::for_text(letter, italic) {
        let width: f64 = letter.chars().map(|c| serif.advance(c)).sum();
        svg.push_str("<defs>");
        serif.define(svg, letter);
        svg.push_str("</defs>");
        // The line is drawn in the units of the outline.
        put(svg, format_args!(r#"<g {paint} stroke-width="{:.1}">"#, stroke * Serif::EM / size));
        serif.line(svg, letter, x - width * size / 2.0, y, size, 0.0);
        svg.push_str("</g>");
        return;
    }
    let lean = if italic { "italic" } else { "normal" };
    put(
        svg,
        format_args!(
            r#"<text x="{x:.0}" y="{y:.0}" font-family="{SERIF}" font-size="{size:.0}" font-weight="700" font-style="{lean}" text-anchor="middle" stroke-width="{stroke}" {paint}>"#
        ),
    );
    super::escape_into(svg, letter);
    svg.push_str("</text>");
}

fn initial(svg: &mut String, words: &Words<'_>, palette: &Palette, chance: &mut Chance) {
    let (title, subtitle) = split(words.title);
    let lower = title.trim_start_matches("The ").trim_start_matches("A ").trim_start_matches("An ");
    let letter: String =
        lower.chars().find(|c| c.is_alphanumeric()).map_or_else(|| "&".to_owned(), |c| c.to_uppercase().collect());
    let (x, y) = (chance.between(150.0, 260.0), chance.between(390.0, 440.0));
    let size = chance.between(480.0, 620.0);
    let lean = chance.up_to(2) == 0;
    let plain = format!(r#"fill="{}""#, palette.second);
    giant(svg, &letter, x, y, size, lean, &plain, 0.0);
    let drawn = format!(r#"fill="none" stroke="{}""#, palette.accent);
    giant(svg, &letter, x + 12.0, y + 12.0, size, lean, &drawn, 2.0);
    rect(svg, 0.0, 420.0, WIDTH, 180.0, palette.ground);
    put(svg, format_args!(r#"<path d="M40 430h332" stroke="{}" stroke-width="3"/>"#, palette.ink));
    let room = if subtitle.is_empty() { 96.0 } else { 70.0 };
    let (_, bottom) = Setting {
        x: 40.0,
        y: 442.0,
        width: 332.0,
        height: room,
        largest: 42.0,
        smallest: 14.0,
        anchor: Anchor::Start,
        ..title_of(words, palette.ink)
    }
    .set(svg, title);
    if !subtitle.is_empty() {
        Setting {
            x: 40.0,
            y: bottom + 2.0,
            width: 332.0,
            height: 34.0,
            largest: 15.0,
            smallest: 10.0,
            italic: true,
            weight: 400,
            anchor: Anchor::Start,
            ..title_of(words, palette.ink)
        }
        .set(svg, subtitle);
    }
    Setting {
        x: 40.0,
        y: 548.0,
        width: 332.0,
        height: 30.0,
        largest: 21.0,
        anchor: Anchor::Start,
        gravity: 1.0,
        ..byline(palette.ink)
    }
    .set(svg, &authors(words));
}

fn stripes(svg: &mut String, words: &Words<'_>, palette: &Palette, chance: &mut Chance) {
    let (title, subtitle) = split(words.title);
    let colours = [palette.accent, palette.second, palette.ground, palette.dark, palette.paper];
    let across = chance.up_to(2) == 0;
    let (mut at, mut last) = (0.0, 9);
    let end = if across { HEIGHT } else { WIDTH };
    while at < end {
        let size = *chance.pick(&[8.0, 14.0, 22.0, 34.0, 52.0]);
        let mut colour = chance.up_to(colours.len());
        if colour == last {
            colour = (colour + 1) % colours.len();
        }
        last = colour;
        if across {
            rect(svg, 0.0, at, WIDTH, size + 0.5, colours[colour]);
        } else {
            rect(svg, at, 0.0, size + 0.5, HEIGHT, colours[colour]);
        }
        at += size;
    }
    let top = *chance.pick(&[120.0, 170.0, 290.0]);
    rect(svg, 0.0, top, WIDTH, 196.0, palette.dark);
    rect(svg, 0.0, top + 188.0, WIDTH, 3.0, palette.accent);
    let room = if subtitle.is_empty() { 104.0 } else { 76.0 };
    let (_, bottom) = Setting {
        x: 40.0,
        y: top + 24.0,
        width: 332.0,
        height: room,
        largest: 46.0,
        smallest: 15.0,
        anchor: Anchor::Start,
        gravity: 0.3,
        ..title_of(words, palette.paper)
    }
    .set(svg, title);
    if !subtitle.is_empty() {
        Setting {
            x: 40.0,
            y: bottom + 2.0,
            width: 332.0,
            height: 36.0,
            largest: 15.0,
            smallest: 11.0,
            italic: true,
            weight: 400,
            anchor: Anchor::Start,
            ..title_of(words, palette.paper)
        }
        .set(svg, subtitle);
    }
    Setting {
        x: 40.0,
        y: top + 144.0,
        width: 332.0,
        height: 28.0,
        largest: 21.0,
        anchor: Anchor::Start,
        gravity: 1.0,
        ..byline(palette.paper)
    }
    .set(svg, &authors(words));
}

fn night(svg: &mut String, words: &Words<'_>, palette: &Palette, chance: &mut Chance) {
    let (title, subtitle) = split(words.title);
    rect(svg, 0.0, 0.0, WIDTH, HEIGHT, palette.dark);
    let foil = palette.accent;
    if chance.up_to(2) == 0 {
        ornament::constellation(svg, chance, 70.0, 350.0, palette.second, palette.paper);
    } else {
        let (x, y) = (chance.between(150.0, 260.0), chance.between(180.0, 240.0));
        put(svg, format_args!(r#"<g fill="none" stroke="{}" stroke-width="1.3">"#, palette.second));
        let radii = [58.0, 92.0, 130.0, 172.0, 220.0];
        for radius in radii {
            put(svg, format_args!(r#"<circle cx="{x:.0}" cy="{y:.0}" r="{radius}"/>"#));
        }
        svg.push_str("</g>");
        put(svg, format_args!(r#"<circle cx="{x:.0}" cy="{y:.0}" r="34" fill="{foil}"/>"#));
        for radius in radii {
            let (angle, size) = (chance.between(0.0, 2.0 * PI), chance.between(4.0, 13.0));
            put(
                svg,
                format_args!(
                    r#"<circle cx="{:.1}" cy="{:.1}" r="{size:.1}" fill="{}"/>"#,
                    x + radius * angle.cos(),
                    y + radius * angle.sin(),
                    palette.paper
                ),
            );
        }
        rect(svg, 0.0, 380.0, WIDTH, 220.0, palette.dark);
    }
    put(
        svg,
        format_args!(
            r#"<rect x="38" y="22" width="342" height="556" fill="none" stroke="{foil}" stroke-width="1.5"/>"#
        ),
    );
    let room = if subtitle.is_empty() { 108.0 } else { 80.0 };
    let (_, bottom) = Setting {
        x: 56.0,
        y: 402.0,
        width: 306.0,
        height: room,
        largest: 44.0,
        smallest: 15.0,
        gravity: 0.2,
        ..title_of(words, palette.paper)
    }
    .set(svg, title);
    if !subtitle.is_empty() {
        Setting {
            x: 64.0,
            y: bottom + 2.0,
            width: 290.0,
            height: 36.0,
            largest: 15.0,
            smallest: 11.0,
            italic: true,
            weight: 400,
            ..title_of(words, palette.paper)
        }
        .set(svg, subtitle);
    }
    Setting { x: 56.0, y: 530.0, width: 306.0, height: 30.0, largest: 21.0, gravity: 0.6, ..byline(foil) }
        .set(svg, &authors(words));
}

fn deco(svg: &mut String, words: &Words<'_>, palette: &Palette, chance: &mut Chance) {
    let (title, subtitle) = split(words.title);
    let count = *chance.pick(&[24, 32, 40]);
    let upright = chance.up_to(2) == 0;
    let centre = if upright { 330.0 } else { 600.0 };
    put(
        svg,
        format_args!(
            r#"<clipPath id="pane"><rect x="40" y="26" width="336" height="548"/></clipPath><g clip-path="url(#pane)">"#
        ),
    );
    rect(svg, 40.0, 26.0, 336.0, 548.0, palette.second);
    ornament::rays(svg, 208.0, centre, count, -PI, if upright { PI } else { 0.0 }, palette.ground);
    for (radius, fill) in [(124.0, palette.accent), (104.0, palette.dark), (92.0, palette.accent), (60.0, palette.dark)]
    {
        put(svg, format_args!(r#"<circle cx="208" cy="{centre}" r="{radius}" fill="{fill}"/>"#));
    }
    svg.push_str("</g>");
    put(
        svg,
        format_args!(
            r#"<g fill="none" stroke="{ink}"><rect x="40" y="26" width="336" height="548" stroke-width="4"/><rect x="48" y="34" width="320" height="532" stroke-width="1.2"/></g>"#,
            ink = palette.accent
        ),
    );
    let (top, byline_at) = if upright { (70.0, 494.0) } else { (76.0, 300.0) };
    let plate = if upright { 130.0 } else { 200.0 };
    rect(svg, 64.0, top - 12.0, 288.0, plate + 10.0, palette.dark);
    put(
        svg,
        format_args!(
            r#"<rect x="69" y="{}" width="278" height="{plate}" fill="none" stroke="{}" stroke-width="1"/>"#,
            top - 7.0,
            palette.accent
        ),
    );
    let room = if subtitle.is_empty() { plate - 24.0 } else { plate - 54.0 };
    let (_, bottom) = Setting {
        x: 82.0,
        y: top + 2.0,
        width: 252.0,
        height: room,
        largest: 42.0,
        smallest: 14.0,
        capitals: title.chars().count() < 30,
        tracking: 0.05,
        gravity: 0.5,
        ..title_of(words, palette.paper)
    }
    .set(svg, title);
    if !subtitle.is_empty() {
        Setting {
            x: 86.0,
            y: bottom + 2.0,
            width: 244.0,
            height: 32.0,
            largest: 14.0,
            smallest: 10.0,
            weight: 400,
            italic: true,
            ..title_of(words, palette.paper)
        }
        .set(svg, subtitle);
    }
    rect(svg, 88.0, byline_at, 240.0, 44.0, palette.dark);
    Setting {
        x: 98.0,
        y: byline_at + 4.0,
        width: 220.0,
        height: 36.0,
        largest: 21.0,
        smallest: 15.0,
        gravity: 0.5,
        ..byline(palette.paper)
    }
    .set(svg, &authors(words));
}

fn circles(svg: &mut String, words: &Words<'_>, palette: &Palette, chance: &mut Chance) {
    let (title, subtitle) = split(words.title);
    let colours = [palette.accent, palette.second, palette.paper, palette.dark];
    let count = 3 + chance.up_to(3);
    for number in 0..count {
        let radius = chance.between(54.0, 136.0);
        let (x, y) = (chance.between(60.0, 350.0), chance.between(250.0, 560.0));
        put(
            svg,
            format_args!(
                r#"<circle cx="{x:.0}" cy="{y:.0}" r="{radius:.0}" fill="{}" opacity=".88"/>"#,
                colours[number % colours.len()]
            ),
        );
        if chance.up_to(2) == 0 {
            put(
                svg,
                format_args!(
                    r#"<circle cx="{x:.0}" cy="{y:.0}" r="{:.0}" fill="none" stroke="{}" stroke-width="1.5"/>"#,
                    radius * 0.72,
                    palette.ground
                ),
            );
        }
    }
    rect(svg, 0.0, 0.0, WIDTH, 226.0, palette.ground);
    put(svg, format_args!(r#"<path d="M44 226h324" stroke="{}" stroke-width="1.5"/>"#, palette.ink));
    let room = if subtitle.is_empty() { 118.0 } else { 86.0 };
    let (_, bottom) = Setting {
        x: 44.0,
        y: 40.0,
        width: 324.0,
        height: room,
        largest: 48.0,
        smallest: 15.0,
        anchor: Anchor::Start,
        ..title_of(words, palette.ink)
    }
    .set(svg, title);
    if !subtitle.is_empty() {
        Setting {
            x: 44.0,
            y: bottom + 2.0,
            width: 324.0,
            height: 36.0,
            largest: 16.0,
            smallest: 11.0,
            italic: true,
            weight: 400,
            anchor: Anchor::Start,
            ..title_of(words, palette.ink)
        }
        .set(svg, subtitle);
    }
    Setting {
        x: 44.0,
        y: 178.0,
        width: 324.0,
        height: 34.0,
        largest: 21.0,
        anchor: Anchor::Start,
        gravity: 1.0,
        ..byline(palette.ink)
    }
    .set(svg, &authors(words));
}
