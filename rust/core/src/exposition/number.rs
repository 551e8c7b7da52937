//! Values as text: at most six decimals.

use std::io::Write;

/// Writes a value with at most six decimals. Values are never negative; where one cannot be
/// written that way (beyond 1.8e13) all its digits are.
pub(super) fn number(text: &mut Vec<u8>, value: f64) {
    let micro = (value * 1e6).round();
    if !(0.0..1.8e19).contains(&micro) {
        // Writing to a vector cannot fail.
        let _ = write!(text, "{value}");
        return;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // the range was checked above
    let micro = micro as u64;
    whole(text, micro / 1_000_000);
    let mut fraction = micro % 1_000_000;
    if fraction == 0 {
        return;
    }
    let mut digits = [b'0'; 7];
    digits[0] = b'.';
    for digit in digits[1..].iter_mut().rev() {
        *digit = decimal(fraction);
        fraction /= 10;
    }
    let used = digits
        .iter()
        .rposition(|digit| *digit != b'0')
        .map_or(0, |last| last + 1);
    text.extend_from_slice(&digits[..used]);
}

fn whole(text: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = decimal(value);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[start..]);
}

#[allow(clippy::cast_possible_truncation)] // a remainder of ten fits
fn decimal(value: u64) -> u8 {
    b'0' + (value % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact_to_six_decimals() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (1.5, "1.5"),
            (0.000_001, "0.000001"),
            (0.000_000_4, "0"),
            (12_345.678_901_2, "12345.678901"),
            (9.999_999_9, "10"),
            (1e13, "10000000000000"),
            (2e20, "200000000000000000000"),
        ];
        for (value, expected) in cases {
            let mut text = Vec::new();
            number(&mut text, value);
            assert_eq!(String::from_utf8_lossy(&text), expected);
        }
    }
}
