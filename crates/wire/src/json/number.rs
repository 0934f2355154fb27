//! Numbers, as they were written.

/// A number as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<'a>(&'a str);

/// A number that machine types hold exactly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Exact {
    /// Written as an integer, and within 64 bits.
    Integer(i64),
    /// Anything else that a finite `f64` holds.
    Float(f64),
}

impl<'a> Number<'a> {
    pub(super) fn new(text: &'a str) -> Number<'a> {
        Number(text)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// The value, if it was written as an integer (no fraction, no exponent, not `-0`) and fits.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        if self.0 == "-0" { None } else { self.0.parse().ok() }
    }

    /// The value, if it survives exactly: an integer within 64 bits, or a finite `f64` whose shortest
    /// decimal form denotes the number that was written (`1.10` and `1e2` do,
    /// `0.1000000000000000055` and `1e400` do not).
    #[must_use]
    pub fn exact(&self) -> Option<Exact> {
        if let Some(integer) = self.integer() {
            return Some(Exact::Integer(integer));
        }
        let float: f64 = self.0.parse().ok().filter(|float: &f64| float.is_finite())?;
        // Rust writes a float with the fewest digits that read back as the same one.
        (Decimal::read(&format!("{float:e}"))? == Decimal::read(self.0)?).then_some(Exact::Float(float))
    }

    /// Whether `text`, written as a JSON number, denotes the same number: `42` and `42.0` do (HT-24).
    #[must_use]
    pub fn denotes(&self, text: &str) -> bool {
        let grammatical =
            super::scan::scan(text.as_bytes(), &ONE_NUMBER, None).is_ok_and(|scanned| scanned.value == (0..text.len()));
        grammatical && Decimal::read(text).is_some_and(|other| Decimal::read(self.0) == Some(other))
    }

    /// The number without fraction and exponent, if it is whole: `42` for `42.0` and `4.2e1`.
    ///
    /// Only within ±(2^53 - 1), the range that a mirrored integer may have (MCP 2026-07-28,
    /// Streamable HTTP, "Schema Extension").
    #[must_use]
    pub fn whole(&self) -> Option<i64> {
        let decimal = Decimal::read(self.0)?;
        let zeros = usize::try_from(decimal.exponent).ok()?;
        if decimal.digits.len() + zeros > SAFE_DIGITS {
            return None;
        }
        let digits = if decimal.digits.is_empty() { "0" } else { &decimal.digits };
        let sign = if decimal.negative { "-" } else { "" };
        let whole: i64 = format!("{sign}{digits}{}", "0".repeat(zeros)).parse().ok()?;
        (-SAFE_MAX..=SAFE_MAX).contains(&whole).then_some(whole)
    }
}

/// A decimal number in the one form that has no zeros at either end.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    /// How many zeros follow the digits; negative: how many of the digits are behind the point.
    exponent: i64,
}

impl Decimal {
    fn read(text: &str) -> Option<Decimal> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_end_matches('0');
        let zeros = i64::try_from(all.len() - digits.len()).ok()?;
        let digits = digits.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Decimal { negative: false, digits, exponent: 0 });
        }
        // An exponent of more than 64 bits denotes a number that nothing here holds.
        let exponent: i64 = exponent.parse().ok()?;
        let behind_point = i64::try_from(fraction.len()).ok()?;
        let exponent = exponent.checked_sub(behind_point)?.checked_add(zeros)?;
        Some(Decimal { negative, digits, exponent })
    }
}

/// A mirrored header is short, and so is every number worth comparing with it.
const ONE_NUMBER: super::Limits = super::Limits { bytes_max: 256, depth_max: 0, nodes_max: 0 };
const SAFE_MAX: i64 = 9_007_199_254_740_991;
const SAFE_DIGITS: usize = 16;
