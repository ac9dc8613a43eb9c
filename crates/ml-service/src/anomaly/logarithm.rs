//! ln(1 + x) from additions, multiplications and divisions only: those are the same bits on every
//! machine, a C library's logarithm is not.

const LN_2: f64 = std::f64::consts::LN_2;
const SQRT_2: f64 = std::f64::consts::SQRT_2;

/// ln(1 + x) for 0 ≤ x; within 1e-12 of the true value, relative to 1 or the value.
pub(super) fn ln_1p(x: f64) -> f64 {
    let y = 1.0 + x.clamp(0.0, f64::MAX);
    let bits = y.to_bits();
    let exponent = i32::try_from(bits >> 52).unwrap_or(0) - 1023;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    let mut exponent = f64::from(exponent);
    if mantissa > SQRT_2 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    // ln m = 2 artanh t, |t| < 0.172; the first omitted term is below 2·0.172²⁵/25 < 1e-20.
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let mut sum = 0.0;
    for odd in [23.0, 21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * square + 1.0 / odd;
    }
    exponent * LN_2 + 2.0 * t * sum
}

#[cfg(test)]
mod tests {
    use super::ln_1p;

    #[test]
    fn agrees_with_the_library() {
        for x in [0.0, 1e-9, 0.1, 0.5, 1.0, 2.0, 3.0, 41.0, 1e3, 123_456.789, 1e15, 1e300] {
            let (ours, theirs) = (ln_1p(x), x.ln_1p());
            assert!((ours - theirs).abs() <= 1e-12 * theirs.max(1.0), "{x}: {ours} {theirs}");
        }
        assert_eq!(ln_1p(0.0), 0.0);
        assert!(ln_1p(f64::MAX).is_finite());
    }
}
