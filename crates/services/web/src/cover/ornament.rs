//! Small drawn things: patterns of endpapers, fleurons, rosettes.

use std::f64::consts::TAU;

use super::{Chance, HEIGHT, WIDTH, put};

/// Kinds of patterned paper.
#[derive(Debug, Clone, Copy)]
pub(super) enum Paper {
    Scales,
    Diamonds,
    Leaves,
    Dots,
    Crosses,
    Waves,
    Stars,
}

impl Paper {
    pub(super) const ALL: [Self; 7] =
        [Self::Scales, Self::Diamonds, Self::Leaves, Self::Dots, Self::Crosses, Self::Waves, Self::Stars];

    /// Covers the whole cover with the pattern.
    pub(super) fn fill(self, svg: &mut String, line: &str, spot: &str) {
        let (width, height) = self.tile();
        put(
            svg,
            format_args!(r#"<pattern id="paper" width="{width}" height="{height}" patternUnits="userSpaceOnUse">"#),
        );
        match self {
            Self::Scales => put(
                svg,
                format_args!(
                    r#"<g fill="none" stroke="{line}" stroke-width="1.6"><circle cx="20" cy="20" r="19"/><circle cx="20" cy="20" r="13"/><circle cx="20" cy="20" r="7"/></g><circle cx="20" cy="20" r="2.5" fill="{spot}"/><g fill="none" stroke="{line}" stroke-width="1.6"><path d="M0 20a19 19 0 0 0 20-20M40 20A19 19 0 0 1 20 0"/></g>"#
                ),
            ),
            Self::Diamonds => put(
                svg,
                format_args!(
                    r#"<path d="M18 2 34 26 18 50 2 26z" fill="none" stroke="{line}" stroke-width="1.8"/><path d="M18 16 25 26 18 36 11 26z" fill="{spot}"/><circle cx="0" cy="0" r="2.6" fill="{line}"/><circle cx="36" cy="0" r="2.6" fill="{line}"/><circle cx="0" cy="52" r="2.6" fill="{line}"/><circle cx="36" cy="52" r="2.6" fill="{line}"/>"#
                ),
            ),
            Self::Leaves => put(
                svg,
                format_args!(
                    r#"<g fill="{line}"><path d="M22 46C8 38 8 20 22 8c14 12 14 30 0 38z"/><path d="M0 92c-14-8-14-26 0-38 14 12 14 30 0 38zM44 92c-14-8-14-26 0-38 14 12 14 30 0 38z"/></g><g stroke="{spot}" stroke-width="1.6" fill="none"><path d="M22 46V14M22 24l6-5M22 24l-6-5M22 34l7-5M22 34l-7-5"/><path d="M0 92V60M0 70l6-5M0 80l7-5M44 92V60M44 70l-6-5M44 80l-7-5"/></g>"#
                ),
            ),
            Self::Dots => put(
                svg,
                format_args!(
                    r#"<circle cx="10" cy="10" r="4.6" fill="{line}"/><circle cx="26" cy="26" r="4.6" fill="{spot}"/><circle cx="26" cy="10" r="1.5" fill="{line}"/><circle cx="10" cy="26" r="1.5" fill="{line}"/>"#
                ),
            ),
            Self::Crosses => put(
                svg,
                format_args!(
                    r#"<path d="M16 4v24M4 16h24" stroke="{line}" stroke-width="2.4"/><circle cx="16" cy="16" r="4" fill="{spot}"/><path d="M0 0h5M0 0v5M32 0h-5M32 0v5M0 32h5M0 32v-5M32 32h-5M32 32v-5" stroke="{line}" stroke-width="2.4"/>"#
                ),
            ),
            Self::Waves => put(
                svg,
                format_args!(
                    r#"<g fill="none" stroke="{line}" stroke-width="2"><path d="M0 8c8 0 8 8 16 8S24 8 32 8 40 16 48 16 56 8 64 8"/><path d="M0 20c8 0 8 8 16 8s8-8 16-8 8 8 16 8 8-8 16-8" stroke="{spot}"/></g>"#
                ),
            ),
            Self::Stars => put(
                svg,
                format_args!(
                    r#"<path d="m20 6 3.6 10.4L34 20l-10.4 3.6L20 34l-3.6-10.4L6 20l10.4-3.6z" fill="{line}"/><circle cx="0" cy="0" r="3" fill="{spot}"/><circle cx="40" cy="0" r="3" fill="{spot}"/><circle cx="0" cy="40" r="3" fill="{spot}"/><circle cx="40" cy="40" r="3" fill="{spot}"/>"#
                ),
            ),
        }
        put(svg, format_args!(r#"</pattern><rect width="{WIDTH}" height="{HEIGHT}" fill="url(#paper)"/>"#));
    }

    fn tile(self) -> (u32, u32) {
        match self {
            Self::Scales | Self::Stars => (40, 40),
            Self::Diamonds => (36, 52),
            Self::Leaves => (44, 92),
            Self::Dots => (32, 32),
            Self::Crosses => (32, 32),
            Self::Waves => (64, 24),
        }
    }
}

/// Petals around a centre.
pub(super) fn rosette(svg: &mut String, x: f64, y: f64, radius: f64, petals: usize, stroke: &str) {
    put(svg, format_args!(r#"<g fill="none" stroke="{stroke}" stroke-width="1.8">"#));
    for petal in 0..petals {
        let turn = 360.0 * petal as f64 / petals as f64;
        let (bow, mid) = (radius * 0.32, radius * 0.55);
        put(
            svg,
            format_args!(
                r#"<path transform="translate({x:.1} {y:.1}) rotate({turn:.1})" d="M0 {:.1}C{bow:.1} -{mid:.1} {bow:.1} -{mid:.1} 0 -{radius:.1}C-{bow:.1} -{mid:.1} -{bow:.1} -{mid:.1} 0 {:.1}z"/>"#,
                -radius * 0.16,
                -radius * 0.16
            ),
        );
    }
    put(
        svg,
        format_args!(
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{:.1}"/><circle cx="{x:.1}" cy="{y:.1}" r="{:.1}" fill="{stroke}"/></g>"#,
            radius * 1.08,
            radius * 0.07
        ),
    );
}

/// A printer's leaf between two rules.
pub(super) fn fleuron(svg: &mut String, x: f64, y: f64, reach: f64, colour: &str) {
    put(
        svg,
        format_args!(
            r#"<g transform="translate({x:.1} {y:.1})" stroke="{colour}" stroke-width="1.6" fill="none"><path d="M-{reach:.1} 0H-16M16 0H{reach:.1}"/><path d="M0-9 7 0 0 9-7 0z" fill="{colour}"/><circle cx="-12" r="1.8" fill="{colour}"/><circle cx="12" r="1.8" fill="{colour}"/></g>"#
        ),
    );
}

/// Rays from a point, every other one filled.
pub(super) fn rays(svg: &mut String, x: f64, y: f64, count: usize, from: f64, to: f64, fill: &str) {
    put(svg, format_args!(r#"<path fill="{fill}" d=""#));
    let step = (to - from) / count as f64;
    let far = 760.0;
    for ray in (0..count).step_by(2) {
        let (a, b) = (from + step * ray as f64, from + step * (ray + 1) as f64);
        put(
            svg,
            format_args!(
                "M{x:.0} {y:.0}L{:.1} {:.1}L{:.1} {:.1}z",
                x + far * a.cos(),
                y + far * a.sin(),
                x + far * b.cos(),
                y + far * b.sin()
            ),
        );
    }
    svg.push_str(r#""/>"#);
}

/// Stars with lines between neighbours.
pub(super) fn constellation(svg: &mut String, chance: &mut Chance, top: f64, bottom: f64, line: &str, star: &str) {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let (columns, rows) = (4, 4);
    for row in 0..rows {
        for column in 0..columns {
            let width = (WIDTH - 100.0) / f64::from(columns);
            let height = (bottom - top) / f64::from(rows);
            let x = 56.0 + width * (f64::from(column) + chance.between(0.15, 0.85));
            let y = top + height * (f64::from(row) + chance.between(0.15, 0.85));
            if chance.up_to(5) > 0 {
                points.push((x, y));
            }
        }
    }
    put(svg, format_args!(r#"<g stroke="{line}" stroke-width="1.2">"#));
    for (place, (x, y)) in points.iter().enumerate() {
        let distance = |(a, b): &(f64, f64)| (a - x).powi(2) + (b - y).powi(2);
        let near = points.iter().skip(place + 1).min_by(|a, b| distance(a).total_cmp(&distance(b)));
        if let Some((a, b)) = near {
            put(svg, format_args!(r#"<path d="M{x:.1} {y:.1}L{a:.1} {b:.1}"/>"#));
        }
    }
    svg.push_str("</g>");
    put(svg, format_args!(r#"<g fill="{star}">"#));
    for (x, y) in &points {
        let radius = chance.between(2.2, 6.5);
        if radius > 4.8 {
            let (long, short) = (radius * 2.2, radius * 0.5);
            put(
                svg,
                format_args!(
                    r#"<path transform="translate({x:.1} {y:.1})" d="M0 -{long:.1}L{short:.1} -{short:.1}L{long:.1} 0L{short:.1} {short:.1}L0 {long:.1}L-{short:.1} {short:.1}L-{long:.1} 0L-{short:.1} -{short:.1}z"/>"#
                ),
            );
        } else {
            put(svg, format_args!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}"/>"#));
        }
    }
    for _ in 0..40 {
        let (x, y, radius) =
            (chance.between(34.0, 390.0), chance.between(top - 30.0, bottom + 20.0), chance.between(0.5, 1.4));
        put(svg, format_args!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" opacity=".7"/>"#));
    }
    svg.push_str("</g>");
}

/// The outline of a range of hills from the left edge to the right, closed at the bottom.
pub(super) fn hills(svg: &mut String, chance: &mut Chance, level: f64, height: f64, fill: &str) {
    let phase = chance.between(0.0, TAU);
    let (slow, quick) = (chance.between(0.8, 1.5), chance.between(2.2, 3.8));
    put(svg, format_args!(r#"<path fill="{fill}" d="M0 600"#));
    for step in 0..=40 {
        let x = WIDTH * f64::from(step) / 40.0;
        let angle = x / WIDTH * TAU;
        let y = level + height * (0.65 * (angle * slow + phase).sin() + 0.35 * (angle * quick + phase * 2.0).sin());
        put(svg, format_args!("L{x:.0} {y:.1}"));
    }
    svg.push_str(r#"L400 600z"/>"#);
}
