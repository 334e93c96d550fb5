//! Bytes as Kubernetes writes them.

/// The text is no number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no number of bytes; write it like 1000000, 64Mi or 2G")]
pub struct QuantityError;

const UNITS: [(&str, u64); 8] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

/// Reads a whole number with one of the units of Kubernetes' quantities, or none
/// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>).
///
/// # Errors
/// When it is none, or more than 64 bits hold.
pub fn bytes(text: &str) -> Result<u64, QuantityError> {
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (digits, factor) = unit.unwrap_or((text, 1));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| is_number);
    number.and_then(|number| number.checked_mul(factor)).ok_or(QuantityError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_multiply() {
        let known = [
            ("0", 0),
            ("17", 17),
            ("64Ki", 65_536),
            ("2k", 2_000),
            ("3Mi", 3 << 20),
            ("1T", 1_000_000_000_000),
        ];
        for (text, expected) in known {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "Mi", "-1", "+1", "1.5Gi", "1 Mi", "1K", "99999999999999Ti", "é"] {
            assert_eq!(bytes(text), Err(QuantityError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _ = bytes(&text);
        }
    }
}
