#![allow(unsafe_code, reason = "vector instructions are chosen at run time; each block says why it is sound")]
//! Products of single-precision matrices with one side packed once, for a model's weights.
//!
//! A weight matrix is stored as panels of 16 columns, each panel row after row, so that the inner loop reads memory
//! forwards only; some rows of the other side times one panel stay in registers. On x86-64 with AVX-512, or AVX2 and FMA,
//! the inner loop is written with those instructions (chosen when the program runs); elsewhere the same loop is left to
//! the compiler.

use std::sync::LazyLock;

/// Columns of a panel.
pub const PANEL: usize = 16;
/// How many numbers of the left side should stay in the second level cache.
const BLOCK: usize = 64 * 1024;

/// The vector instructions that a processor has, the widest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Instructions {
    /// What every processor of this kind has.
    Portable,
    /// AVX2 and FMA: 16 registers of 8 numbers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F beside these: 32 registers of 16 numbers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Instructions {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return if std::arch::is_x86_feature_detected!("avx512f") { Self::Avx512 } else { Self::Avx2 };
        }
        Self::Portable
    }

    /// Rows that are multiplied at once: their sums and one row of a panel fill the registers.
    const fn rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 12,
            _ => 6,
        }
    }
}

static INSTRUCTIONS: LazyLock<Instructions> = LazyLock::new(Instructions::detect);

/// The least multiple of [`PANEL`] that is not below `columns`.
pub const fn padded(columns: usize) -> usize {
    columns.div_ceil(PANEL) * PANEL
}

/// The right side of a product: `depth` rows of `columns` numbers, in panels; missing columns are zeros.
#[derive(Default)]
pub struct Packed {
    depth: usize,
    columns: usize,
    panels: Vec<f32>,
}

impl Packed {
    /// Takes the memory for any matrix up to `depth` x `columns`.
    pub fn with_capacity(depth: usize, columns: usize) -> Self {
        Self { depth: 0, columns: 0, panels: Vec::with_capacity(depth * padded(columns)) }
    }

    /// Packs the transpose of `rows`: `columns` rows of `depth` numbers, `stride` apart. So PyTorch keeps the weights
    /// of a linear layer: one row for each output.
    ///
    /// # Panics
    /// When `rows` is too short.
    pub fn transposed(&mut self, rows: &[f32], stride: usize, columns: usize, depth: usize) {
        self.reset(depth, columns);
        for (column, row) in rows.chunks(stride).take(columns).enumerate() {
            let panel = &mut self.panels[column / PANEL * depth * PANEL..][..depth * PANEL];
            for (slot, value) in panel.iter_mut().skip(column % PANEL).step_by(PANEL).zip(&row[..depth]) {
                *slot = *value;
            }
        }
    }

    /// Packs `rows`: `depth` rows of `columns` numbers, `stride` apart.
    ///
    /// # Panics
    /// When `rows` is too short.
    pub fn rows(&mut self, rows: &[f32], stride: usize, depth: usize, columns: usize) {
        self.reset(depth, columns);
        for (at, row) in rows.chunks(stride).take(depth).enumerate() {
            for (panel, part) in row[..columns].chunks(PANEL).enumerate() {
                self.panels[(panel * depth + at) * PANEL..][..part.len()].copy_from_slice(part);
            }
        }
    }

    fn reset(&mut self, depth: usize, columns: usize) {
        (self.depth, self.columns) = (depth, columns);
        self.panels.clear();
        self.panels.resize(depth * padded(columns), 0.0);
    }
}

/// Writes `a` times `b` plus `bias` (none: zeros) to `out`. `a` has `rows` rows of `b`'s depth, `a_stride` apart; `out`
/// gets as many rows of `b`'s columns padded to whole panels, `out_stride` apart.
///
/// # Panics
/// When a slice is too short or a stride too small.
pub fn multiply(
    a: &[f32],
    a_stride: usize,
    rows: usize,
    b: &Packed,
    bias: Option<&[f32]>,
    out: &mut [f32],
    out_stride: usize,
) {
    let depth = b.depth;
    assert!(a_stride >= depth && out_stride >= padded(b.columns), "rows overlap");
    assert!(bias.is_none_or(|bias| bias.len() == b.columns && b.columns.is_multiple_of(PANEL)), "bias of another size");
    let at_once = INSTRUCTIONS.rows();
    let block = (BLOCK / depth.max(1) / at_once).max(1) * at_once;
    let mut left = Vec::with_capacity(block.min(rows) * depth);
    for from in (0..rows).step_by(block) {
        let until = (from + block).min(rows);
        left.clear();
        for row in (from..until).step_by(at_once) {
            interleave(&a[row * a_stride..], a_stride, (until - row).min(at_once), depth, &mut left);
        }
        for (n, panel) in b.panels.chunks_exact((depth * PANEL).max(1)).enumerate() {
            let mut start = [0.0; PANEL];
            if let Some(bias) = bias {
                start.copy_from_slice(&bias[n * PANEL..][..PANEL]);
            }
            for row in (from..until).step_by(at_once) {
                let count = (until - row).min(at_once);
                let tile_rows = &left[(row - from) * depth..][..count * depth];
                let out = &mut out[row * out_stride + n * PANEL..];
                match count {
                    1 => tile::<1>(tile_rows, depth, panel, &start, out, out_stride),
                    2 => tile::<2>(tile_rows, depth, panel, &start, out, out_stride),
                    3 => tile::<3>(tile_rows, depth, panel, &start, out, out_stride),
                    4 => tile::<4>(tile_rows, depth, panel, &start, out, out_stride),
                    5 => tile::<5>(tile_rows, depth, panel, &start, out, out_stride),
                    6 => tile::<6>(tile_rows, depth, panel, &start, out, out_stride),
                    7 => tile::<7>(tile_rows, depth, panel, &start, out, out_stride),
                    8 => tile::<8>(tile_rows, depth, panel, &start, out, out_stride),
                    9 => tile::<9>(tile_rows, depth, panel, &start, out, out_stride),
                    10 => tile::<10>(tile_rows, depth, panel, &start, out, out_stride),
                    11 => tile::<11>(tile_rows, depth, panel, &start, out, out_stride),
                    _ => tile::<12>(tile_rows, depth, panel, &start, out, out_stride),
                }
            }
        }
    }
}

/// Appends `rows` rows of `depth` numbers, `stride` apart, column by column: so the inner loop reads this side forwards
/// too.
fn interleave(a: &[f32], stride: usize, rows: usize, depth: usize, to: &mut Vec<f32>) {
    assert!(a.len() >= (rows - 1) * stride + depth, "the left side is too short");
    let begin = to.len();
    to.resize(begin + rows * depth, 0.0);
    for row in 0..rows {
        let slots = to[begin + row..].iter_mut().step_by(rows);
        slots.zip(&a[row * stride..][..depth]).for_each(|(slot, value)| *slot = *value);
    }
}

/// `R` rows, interleaved, times one panel.
#[inline(always)]
fn tile<const R: usize>(
    a: &[f32],
    depth: usize,
    panel: &[f32],
    start: &[f32; PANEL],
    out: &mut [f32],
    out_stride: usize,
) {
    assert!(a.len() >= R * depth, "the left side is too short");
    assert!(panel.len() >= depth * PANEL, "the panel is too short");
    assert!(out.len() >= (R - 1) * out_stride + PANEL, "the output is too short");
    match *INSTRUCTIONS {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: AVX-512 was detected, and the three lengths were checked just above.
        Instructions::Avx512 => unsafe { avx512_tile::<R>(a, depth, panel, start, out, out_stride) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: AVX2 and FMA were detected, and the three lengths were checked just above.
        Instructions::Avx2 => unsafe { avx2_tile::<R>(a, depth, panel, start, out, out_stride) },
        Instructions::Portable => portable_tile::<R>(a, depth, panel, start, out, out_stride),
    }
}

fn portable_tile<const R: usize>(
    a: &[f32],
    depth: usize,
    panel: &[f32],
    start: &[f32; PANEL],
    out: &mut [f32],
    out_stride: usize,
) {
    let mut sums = [*start; R];
    for (values, weights) in a.chunks_exact(R).zip(panel.chunks_exact(PANEL)).take(depth) {
        for (sum, value) in sums.iter_mut().zip(values) {
            for (sum, weight) in sum.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
    }
    for (r, sum) in sums.iter().enumerate() {
        out[r * out_stride..][..PANEL].copy_from_slice(sum);
    }
}

/// # Safety
/// The processor has AVX2 and FMA; `a` holds `depth` times `R` numbers, `panel` `depth` rows of [`PANEL`] numbers, and
/// `out` has room for `R` rows of [`PANEL`] numbers `out_stride` apart.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2_tile<const R: usize>(
    a: &[f32],
    depth: usize,
    panel: &[f32],
    start: &[f32; PANEL],
    out: &mut [f32],
    out_stride: usize,
) {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps};
    // SAFETY: every address is within the slices by what the caller promises: row r < R and position at < depth.
    unsafe {
        let mut left = [_mm256_loadu_ps(start.as_ptr()); R];
        let mut right = [_mm256_loadu_ps(start.as_ptr().add(8)); R];
        for at in 0..depth {
            let weights = panel.as_ptr().add(at * PANEL);
            let (first, second) = (_mm256_loadu_ps(weights), _mm256_loadu_ps(weights.add(8)));
            for r in 0..R {
                let value = _mm256_set1_ps(*a.as_ptr().add(at * R + r));
                left[r] = _mm256_fmadd_ps(value, first, left[r]);
                right[r] = _mm256_fmadd_ps(value, second, right[r]);
            }
        }
        for r in 0..R {
            let row = out.as_mut_ptr().add(r * out_stride);
            _mm256_storeu_ps(row, left[r]);
            _mm256_storeu_ps(row.add(8), right[r]);
        }
    }
}

/// # Safety
/// The processor has AVX-512 F; `a` holds `depth` times `R` numbers, `panel` `depth` rows of [`PANEL`] numbers, and
/// `out` has room for `R` rows of [`PANEL`] numbers `out_stride` apart.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512_tile<const R: usize>(
    a: &[f32],
    depth: usize,
    panel: &[f32],
    start: &[f32; PANEL],
    out: &mut [f32],
    out_stride: usize,
) {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps};
    // SAFETY: every address is within the slices by what the caller promises: row r < R and position at < depth.
    unsafe {
        let mut sums = [_mm512_loadu_ps(start.as_ptr()); R];
        for at in 0..depth {
            let weights = _mm512_loadu_ps(panel.as_ptr().add(at * PANEL));
            for (r, sum) in sums.iter_mut().enumerate() {
                let value = _mm512_set1_ps(*a.as_ptr().add(at * R + r));
                *sum = _mm512_fmadd_ps(value, weights, *sum);
            }
        }
        for (r, sum) in sums.iter().enumerate() {
            _mm512_storeu_ps(out.as_mut_ptr().add(r * out_stride), *sum);
        }
    }
}

/// Makes a function that runs `$body` compiled for the widest instructions that the processor has: loops over floats
/// become eight or sixteen times as wide.
macro_rules! widened {
    ($(#[$doc:meta])* $name:ident => $body:ident ($($argument:ident : $type:ty),*)) => {
        $(#[$doc])*
        pub fn $name($($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn wide($($argument: $type),*) {
                    $body($($argument),*);
                }
                #[target_feature(enable = "avx512f")]
                fn wider($($argument: $type),*) {
                    $body($($argument),*);
                }
                match *INSTRUCTIONS {
                    // SAFETY: AVX-512 was detected.
                    Instructions::Avx512 => return unsafe { wider($($argument),*) },
                    // SAFETY: AVX2 was detected.
                    Instructions::Avx2 => return unsafe { wide($($argument),*) },
                    Instructions::Portable => {}
                }
            }
            $body($($argument),*);
        }
    };
}

widened! {
    /// The Gaussian error linear unit, exact form: `x * (1 + erf(x / sqrt 2)) / 2`, within 1e-6.
    gelu => gelu_body(values: &mut [f32])
}

widened! {
    /// Softmax of `values`: positive, adding up to 1. Scores are shifted by their maximum, so that none overflows.
    softmax => softmax_body(values: &mut [f32])
}

widened! {
    /// Adds `residual` to each row of `values`, then normalises the row to mean 0 and variance 1 (with 1e-12 added) and
    /// applies `scale` and `shift`, whose length is a row's.
    add_and_normalise => normalise_body(values: &mut [f32], residual: &[f32], scale: &[f32], shift: &[f32])
}

/// e^x within 2e-7 relative, for x from -87 to 88; beyond, the value at that end.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding it rounds to a whole number, kept in the lowest bits: 1.5 x 2^23.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    // ln 2 in two parts, so that the rest keeps its digits (Cody and Waite).
    let rest = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let series = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];
    let polynomial = series.into_iter().fold(0.0, |so_far, factor| so_far * rest + factor);
    let fraction = polynomial * rest * rest + rest + 1.0;
    let exponent = rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    fraction * f32::from_bits(exponent)
}

/// The error function within 2e-7: formula 7.1.26 of Abramowitz and Stegun.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let series = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];
    let polynomial = series.into_iter().fold(0.0, |so_far, factor| (so_far + factor) * t);
    (1.0 - polynomial * exp(-x * x)).copysign(x)
}

#[inline(always)]
fn gelu_body(values: &mut [f32]) {
    for value in values {
        *value = *value * 0.5 * (1.0 + erf(*value * std::f32::consts::FRAC_1_SQRT_2));
    }
}

#[inline(always)]
fn softmax_body(values: &mut [f32]) {
    let top = greatest(values);
    for value in values.iter_mut() {
        *value = exp(*value - top);
    }
    let share = 1.0 / sum(values, |value| value);
    for value in values {
        *value *= share;
    }
}

#[inline(always)]
fn normalise_body(values: &mut [f32], residual: &[f32], scale: &[f32], shift: &[f32]) {
    let width = scale.len();
    for (row, before) in values.chunks_exact_mut(width).zip(residual.chunks_exact(width)) {
        for (value, before) in row.iter_mut().zip(before) {
            *value += before;
        }
        let mean = sum(row, |value| value) / width as f32;
        for value in row.iter_mut() {
            *value -= mean;
        }
        let variance = sum(row, |value| value * value) / width as f32;
        let inverse = 1.0 / (variance + 1e-12).sqrt();
        for ((value, scale), shift) in row.iter_mut().zip(scale).zip(shift) {
            *value = *value * inverse * scale + shift;
        }
    }
}

/// The sum of `of(value)`, in lanes: a sum in order could not be vectorised.
#[inline(always)]
fn sum(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (whole, rest) = values.as_chunks::<PANEL>();
    let mut lanes = [0.0; PANEL];
    for chunk in whole {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += of(*value);
        }
    }
    lanes.into_iter().chain(rest.iter().map(|value| of(*value))).sum()
}

#[inline(always)]
fn greatest(values: &[f32]) -> f32 {
    let (whole, rest) = values.as_chunks::<PANEL>();
    let mut lanes = [f32::NEG_INFINITY; PANEL];
    for chunk in whole {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn products_are_those_of_the_definition() {
        for (rows, depth, columns) in [(1, 1, 16), (5, 32, 16), (6, 3, 48), (13, 384, 32), (200, 33, 64), (7, 40, 21)] {
            let (a, weights) = (numbers(rows * depth, 1), numbers(columns * depth, 2));
            let bias = numbers(columns, 3);
            let bias = columns.is_multiple_of(PANEL).then_some(&bias[..]);
            let mut packed = Packed::default();
            packed.transposed(&weights, depth, columns, depth);
            let mut out = vec![f32::NAN; rows * padded(columns)];
            multiply(&a, depth, rows, &packed, bias, &mut out, padded(columns));
            for row in 0..rows {
                for column in 0..columns {
                    let exact: f64 = (0..depth)
                        .map(|at| f64::from(a[row * depth + at]) * f64::from(weights[column * depth + at]))
                        .sum::<f64>()
                        + bias.map_or(0.0, |bias| f64::from(bias[column]));
                    assert!((f64::from(out[row * padded(columns) + column]) - exact).abs() < 1e-4, "{row},{column}");
                }
            }
        }
    }

    #[test]
    fn rows_and_their_transpose_pack_alike() {
        let (depth, columns) = (19, 37);
        let rows = numbers(depth * columns, 4);
        let flipped: Vec<f32> = (0..columns)
            .flat_map(|column| (0..depth).map(move |row| (row, column)))
            .map(|(r, c)| rows[r * columns + c])
            .collect();
        let (mut one, mut other) = (Packed::default(), Packed::default());
        one.rows(&rows, columns, depth, columns);
        other.transposed(&flipped, depth, columns, depth);
        assert_eq!(one.panels, other.panels);
    }

    #[test]
    fn all_inner_loops_agree() {
        let (depth, panel) = (50, numbers(50 * PANEL, 5));
        let (a, start) = (numbers(12 * depth, 6), [0.25; PANEL]);
        let mut portable = vec![0.0; 12 * PANEL];
        portable_tile::<12>(&a, depth, &panel, &start, &mut portable, PANEL);
        let agrees = |other: &[f32]| other.iter().zip(&portable).all(|(one, other)| (one - other).abs() < 1e-4);
        #[cfg(target_arch = "x86_64")]
        {
            let mut out = vec![0.0; 12 * PANEL];
            if *INSTRUCTIONS >= Instructions::Avx2 {
                // SAFETY: AVX2 and FMA were detected; the slices hold 12 rows.
                unsafe { avx2_tile::<12>(&a, depth, &panel, &start, &mut out, PANEL) };
                assert!(agrees(&out));
            }
            if *INSTRUCTIONS >= Instructions::Avx512 {
                out.fill(0.0);
                // SAFETY: AVX-512 was detected; the slices hold 12 rows.
                unsafe { avx512_tile::<12>(&a, depth, &panel, &start, &mut out, PANEL) };
                assert!(agrees(&out));
            }
        }
        let mut chosen = vec![0.0; 12 * PANEL];
        tile::<12>(&a, depth, &panel, &start, &mut chosen, PANEL);
        assert!(agrees(&chosen));
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn a_short_left_side_is_refused() {
        let mut packed = Packed::default();
        packed.rows(&numbers(64, 7), 16, 4, 16);
        multiply(&numbers(11, 8), 4, 3, &packed, None, &mut [0.0; 48], 16);
    }

    #[test]
    fn gelu_has_the_known_values() {
        // x * Phi(x), Phi from tables of the normal distribution.
        let known = [(0.0, 0.0), (1.0, 0.841_344_7), (-1.0, -0.158_655_3), (2.0, 1.954_499_7), (-3.0, -0.004_049_7)];
        for (x, expected) in known {
            let mut value = [x];
            gelu(&mut value);
            assert!((value[0] - expected).abs() < 1e-6, "{x}: {}", value[0]);
        }
        let mut far = [40.0, -40.0];
        gelu(&mut far);
        assert_eq!(far, [40.0, 0.0]);
    }

    #[test]
    fn softmax_is_a_distribution_whatever_the_scores() {
        for scores in [vec![0.0; 5], vec![1000.0, -1000.0], numbers(131, 9), vec![-3.0e38, 3.0e38]] {
            let mut shares = scores.clone();
            softmax(&mut shares);
            assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        }
        let mut two = [0.0, 3.0_f32.ln()];
        softmax(&mut two);
        assert!((two[1] - 0.75).abs() < 1e-6);
    }

    #[test]
    fn a_normalised_row_has_mean_0_and_variance_1() {
        let (mut row, residual) = (numbers(384, 10), numbers(384, 11));
        add_and_normalise(&mut row, &residual, &[1.0; 384], &[0.0; 384]);
        let mean = row.iter().sum::<f32>() / 384.0;
        let variance = row.iter().map(|value| value * value).sum::<f32>() / 384.0;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4);
    }
}
