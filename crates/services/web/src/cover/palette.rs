//! Colours that go together: cloth, ink and foil.

use super::Chance;

/// The colours of one cover. `ink` is legible on `ground`, `dark` on `paper`.
pub(super) struct Palette {
    pub(super) ground: &'static str,
    pub(super) ink: &'static str,
    pub(super) accent: &'static str,
    pub(super) second: &'static str,
    pub(super) paper: &'static str,
    pub(super) dark: &'static str,
    mood: Mood,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Warm,
    Cool,
    Dark,
}

const fn of(
    mood: Mood,
    ground: &'static str,
    ink: &'static str,
    accent: &'static str,
    second: &'static str,
    paper: &'static str,
    dark: &'static str,
) -> Palette {
    Palette { ground, ink, accent, second, paper, dark, mood }
}

const PALETTES: &[Palette] = &[
    of(Mood::Warm, "#8c2f24", "#f6e7c8", "#e0a63f", "#5d1b18", "#f7edd8", "#4a1512"),
    of(Mood::Warm, "#d9582b", "#fff3dc", "#23343f", "#f2b34c", "#fbf0da", "#23343f"),
    of(Mood::Warm, "#e3b04b", "#2e2415", "#8d3b1f", "#f4dfa4", "#fdf4de", "#3b2a12"),
    of(Mood::Warm, "#efe3c8", "#2a2620", "#b4452c", "#7d8f69", "#fbf5e6", "#2a2620"),
    of(Mood::Warm, "#b65f50", "#fdeedd", "#f5c77a", "#743a34", "#fbeedd", "#4d221e"),
    of(Mood::Warm, "#6b4a2f", "#f3e3c3", "#d39b4a", "#452d1b", "#f6ead2", "#39240f"),
    of(Mood::Cool, "#1f4e5f", "#f1ead6", "#e2a44a", "#79a8a9", "#f4efe0", "#123240"),
    of(Mood::Cool, "#2f6b57", "#f5efda", "#e6b655", "#17402f", "#f6f1de", "#123828"),
    of(Mood::Cool, "#c9d6cf", "#1d3136", "#c4572f", "#6f938a", "#f3f4ea", "#1d3136"),
    of(Mood::Cool, "#37598c", "#f5efe0", "#f0b84f", "#8fb0d6", "#f3eee2", "#1b3157"),
    of(Mood::Cool, "#7f9c7a", "#1f2a1c", "#f3e2b3", "#40583d", "#f5f1df", "#27351f"),
    of(Mood::Cool, "#a9c3cf", "#1b2b3a", "#d4573b", "#5d8397", "#f4f3ec", "#1b2b3a"),
    of(Mood::Dark, "#1c2433", "#f0e6cf", "#d8a24a", "#44587a", "#efe7d3", "#1c2433"),
    of(Mood::Dark, "#2b1f2e", "#f3e4d3", "#d9785b", "#6b4b6f", "#f3e8da", "#2b1f2e"),
    of(Mood::Dark, "#22302a", "#efe8d2", "#c9a657", "#53705f", "#f0ead7", "#1a2620"),
    of(Mood::Dark, "#312522", "#f2e3cd", "#cf6a4a", "#7b5b4c", "#f4e9d8", "#2b1f1c"),
    of(Mood::Dark, "#4a2545", "#f6e6d8", "#e6a86b", "#8d5f86", "#f7ecdf", "#341730"),
];

/// Picks colours that suit the subject.
pub(super) fn choose(subject: &str, chance: &mut Chance) -> &'static Palette {
    let subject = subject.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| subject.contains(word));
    let moods: &[Mood] = if has(&["horror", "crime", "myster", "thriller", "science fiction", "space", "gothic", "war"])
    {
        &[Mood::Dark, Mood::Dark, Mood::Cool]
    } else if has(&["sea", "nature", "science", "travel", "philosoph", "poet", "math"]) {
        &[Mood::Cool, Mood::Cool, Mood::Warm]
    } else if has(&["romance", "child", "cook", "humo", "fairy", "drama", "play"]) {
        &[Mood::Warm, Mood::Warm, Mood::Cool]
    } else {
        &[Mood::Warm, Mood::Cool, Mood::Dark]
    };
    let mood = *chance.pick(moods);
    let fitting: Vec<&Palette> = PALETTES.iter().filter(|palette| palette.mood == mood).collect();
    fitting[chance.up_to(fitting.len())]
}
