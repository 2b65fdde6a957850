#![allow(unsafe_code, reason = "vector instructions are chosen at run time; each block says why it is sound")]
//! Products of a model's layers in 8-bit integers, for work where speed matters more than the last digits.
//!
//! Weights are quantised once, each column by its own greatest number; the other side when it comes, each row by its own
//! (dynamic quantisation: Jacob et al., 2018, "Quantization and Training of Neural Networks for Efficient
//! Integer-Arithmetic-Only Inference"). Only for x86-64 with AVX-512 VNNI, which multiplies and adds 64 pairs of bytes
//! in one instruction: elsewhere integers are no faster than single precision.

use std::sync::LazyLock;

/// Columns of a panel: the sums of one row take one register.
const PANEL: usize = 16;
/// Bytes that one instruction multiplies and adds for each sum.
const GROUP: usize = 4;
/// Rows that are multiplied at once: their sums and one group of a panel fill the registers.
const ROWS: usize = 12;
/// Times as many rows should stay in the second level cache.
const BLOCK: usize = 8;
/// The greatest quantised number.
const GREATEST: f32 = 127.0;
/// What makes a weight an unsigned byte: the instruction takes signed bytes on one side only.
const OFFSET: i32 = 128;

static SUPPORTED: LazyLock<bool> = LazyLock::new(|| {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512vnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
});

/// The weights of a linear layer as bytes.
pub struct Quantised {
    depth: usize,
    /// For each panel, for each group of rows: the bytes of a column's group side by side, column after column.
    panels: Vec<u8>,
    /// What a column's bytes are multiplied by.
    scales: Vec<f32>,
}

impl Quantised {
    /// Quantises the transpose of `rows`: one row of `depth` numbers for each output, as PyTorch keeps them. `None` when
    /// the processor gains nothing by it, or the layer is not made of whole panels and groups.
    pub fn transposed(rows: &[f32], depth: usize) -> Option<Self> {
        let columns = rows.len() / depth.max(1);
        if !*SUPPORTED || !columns.is_multiple_of(PANEL) || !depth.is_multiple_of(GROUP) {
            return None;
        }
        let mut panels = vec![0; columns * depth];
        let mut scales = Vec::with_capacity(columns);
        for (column, row) in rows.chunks_exact(depth).enumerate() {
            let scale = scale(row);
            for (group, values) in row.chunks_exact(GROUP).enumerate() {
                let place = (column / PANEL * depth + group * GROUP) * PANEL + column % PANEL * GROUP;
                for (byte, value) in panels[place..place + GROUP].iter_mut().zip(values) {
                    *byte = (i32::from(quantise(*value, 1.0 / scale)) + OFFSET) as u8;
                }
            }
            scales.push(scale);
        }
        Some(Self { depth, panels, scales })
    }

    /// Writes `a` times the weights plus `bias` to `out`, rows one after the other on both sides.
    ///
    /// # Panics
    /// When `a` or `out` does not have `rows` whole rows, or there is not one bias for each column.
    pub fn multiply(&self, a: &[f32], rows: usize, bias: &[f32], out: &mut [f32]) {
        let (depth, columns) = (self.depth, self.scales.len());
        assert!(a.len() >= rows * depth && out.len() >= rows * columns && bias.len() == columns, "sizes differ");
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this type is only made where these instructions were detected.
        unsafe {
            self.multiply_wide(&a[..rows * depth], bias, out);
        }
    }

    /// # Safety
    /// The processor has AVX-512 F, BW and VNNI.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn multiply_wide(&self, a: &[f32], bias: &[f32], out: &mut [f32]) {
        let (depth, columns) = (self.depth, self.scales.len());
        let blocks = a.chunks(BLOCK * ROWS * depth).zip(out.chunks_mut(BLOCK * ROWS * columns));
        let mut tiles = Vec::with_capacity(BLOCK);
        for (a, out) in blocks {
            tiles.clear();
            for rows in a.chunks(ROWS * depth) {
                tiles.push(Tile::new(rows, depth));
            }
            for (n, panel) in self.panels.chunks_exact(depth * PANEL).enumerate() {
                let here = n * PANEL..(n + 1) * PANEL;
                let (scales, bias) = (&self.scales[here.clone()], &bias[here.clone()]);
                for (tile, out) in tiles.iter().zip(out.chunks_mut(ROWS * columns)) {
                    // SAFETY: the caller promises the instructions.
                    let sums = unsafe { tile.times(panel) };
                    for ((out, sums), row) in out.chunks_exact_mut(columns).zip(&sums).zip(&tile.rows) {
                        let weights = scales.iter().zip(bias);
                        for ((out, sum), (scale, bias)) in out[here.clone()].iter_mut().zip(sums).zip(weights) {
                            *out = *sum as f32 * (scale * row.scale) + bias;
                        }
                    }
                }
            }
        }
    }
}

/// One quantised row.
struct Row {
    /// What its bytes are multiplied by.
    scale: f32,
    /// What the weights' offset adds to each of its sums, negative.
    begin: i32,
}

/// Up to [`ROWS`] rows as bytes, a group of every row after the other.
struct Tile {
    bytes: Vec<i8>,
    rows: Vec<Row>,
}

impl Tile {
    #[inline(always)]
    fn new(a: &[f32], depth: usize) -> Self {
        let count = a.len() / depth;
        let (mut bytes, mut row_bytes) = (vec![0; a.len()], vec![0; depth]);
        let mut rows = Vec::with_capacity(count);
        for (n, values) in a.chunks_exact(depth).enumerate() {
            let scale = scale(values);
            let inverse = 1.0 / scale;
            let mut sum = 0;
            for (byte, value) in row_bytes.iter_mut().zip(values) {
                *byte = quantise(*value, inverse);
                sum += i32::from(*byte);
            }
            let places = bytes[n * GROUP..].chunks_mut(count * GROUP);
            for (place, group) in places.zip(row_bytes.chunks_exact(GROUP)) {
                place[..GROUP].copy_from_slice(group);
            }
            rows.push(Row { scale, begin: -OFFSET * sum });
        }
        Self { bytes, rows }
    }

    /// The sums of the products with one panel, for each row.
    ///
    /// # Safety
    /// The processor has AVX-512 F and VNNI.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn times(&self, panel: &[u8]) -> [[i32; PANEL]; ROWS] {
        let mut sums = [[0; PANEL]; ROWS];
        assert_eq!(self.bytes.len() / self.rows.len(), panel.len() / PANEL, "depths differ");
        // SAFETY: there are as many rows as each is made for, and as many groups of bytes as of weights.
        unsafe {
            match self.rows.len() {
                1 => self.times_of::<1>(panel, &mut sums),
                2 => self.times_of::<2>(panel, &mut sums),
                3 => self.times_of::<3>(panel, &mut sums),
                4 => self.times_of::<4>(panel, &mut sums),
                5 => self.times_of::<5>(panel, &mut sums),
                6 => self.times_of::<6>(panel, &mut sums),
                7 => self.times_of::<7>(panel, &mut sums),
                8 => self.times_of::<8>(panel, &mut sums),
                9 => self.times_of::<9>(panel, &mut sums),
                10 => self.times_of::<10>(panel, &mut sums),
                11 => self.times_of::<11>(panel, &mut sums),
                _ => self.times_of::<ROWS>(panel, &mut sums),
            }
        }
        sums
    }

    /// # Safety
    /// The processor has AVX-512 F and VNNI; the tile has `R` rows, and `panel` as many groups as they have.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn times_of<const R: usize>(&self, panel: &[u8], sums: &mut [[i32; PANEL]; ROWS]) {
        use std::arch::x86_64::{_mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_storeu_si512};
        let mut totals = [_mm512_set1_epi32(0); R];
        for (total, row) in totals.iter_mut().zip(&self.rows) {
            *total = _mm512_set1_epi32(row.begin);
        }
        for (at, weights) in panel.chunks_exact(GROUP * PANEL).enumerate() {
            // SAFETY: 64 bytes are there, and need not be aligned.
            let weights = unsafe { _mm512_loadu_si512(weights.as_ptr().cast()) };
            for (r, total) in totals.iter_mut().enumerate() {
                // SAFETY: by what the caller promises, group `at` of row `r` is within the bytes; it need not be aligned.
                let values = unsafe { self.bytes.as_ptr().cast::<i32>().add(at * R + r).read_unaligned() };
                *total = _mm512_dpbusd_epi32(*total, weights, _mm512_set1_epi32(values));
            }
        }
        for (total, sums) in totals.iter().zip(sums) {
            // SAFETY: there is room for 16 sums.
            unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), *total) };
        }
    }
}

/// What the bytes of these values are to be multiplied by.
#[inline(always)]
fn scale(values: &[f32]) -> f32 {
    let (whole, rest) = values.as_chunks::<PANEL>();
    let mut lanes = [0.0_f32; PANEL];
    for chunk in whole {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if value.abs() > *lane { value.abs() } else { *lane };
        }
    }
    let greatest = lanes.into_iter().chain(rest.iter().map(|value| value.abs())).fold(0.0, f32::max);
    if greatest > 0.0 { greatest / GREATEST } else { 1.0 }
}

/// The nearest whole number to `value * inverse`, which is within what a byte holds.
#[inline(always)]
fn quantise(value: f32, inverse: f32) -> i8 {
    /// Adding it rounds to a whole number, kept in the lowest bits: 1.5 x 2^23.
    const ROUND: f32 = 12_582_912.0;
    (value * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i8
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
    fn products_are_those_of_the_definition_but_for_rounding() {
        for (rows, depth, columns) in
            [(1, 4, 16), (5, 32, 16), (11, 384, 32), (12, 8, 48), (13, 384, 32), (200, 32, 64)]
        {
            let (a, weights, bias) = (numbers(rows * depth, 1), numbers(columns * depth, 2), numbers(columns, 3));
            let Some(quantised) = Quantised::transposed(&weights, depth) else {
                assert!(!*SUPPORTED);
                return;
            };
            let mut out = vec![f32::NAN; rows * columns];
            quantised.multiply(&a, rows, &bias, &mut out);
            // Each product is off by at most half a step on each side; errors of independent signs add up like noise.
            let allowed = 4.0 * (depth as f32).sqrt() / GREATEST;
            for row in 0..rows {
                for column in 0..columns {
                    let products = a[row * depth..][..depth].iter().zip(&weights[column * depth..][..depth]);
                    let exact = products.map(|(a, w)| a * w).sum::<f32>() + bias[column];
                    let found = out[row * columns + column];
                    assert!((found - exact).abs() < allowed, "{row},{column}: {found} for {exact}");
                }
            }
        }
    }

    #[test]
    fn the_greatest_and_the_least_number_keep_their_sign() {
        for (value, byte) in [(3.0, 127), (-3.0, -127), (0.0, 0), (1.5, 64)] {
            assert_eq!(quantise(value, 1.0 / scale(&[3.0, -2.0])), byte);
        }
        assert_eq!(quantise(0.0, 1.0 / scale(&[0.0])), 0, "a row of zeros");
    }

    #[test]
    fn what_is_not_made_of_whole_panels_is_left_alone() {
        assert!(Quantised::transposed(&numbers(15 * 8, 4), 8).is_none());
        assert!(Quantised::transposed(&numbers(16 * 6, 4), 6).is_none());
    }
}
