//! Sizes as the API server writes them.

/// Suffixes of a quantity and what they stand for; the longer one of two that fit comes first.
const UNITS: [(&str, f64); 12] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("", 1.0),
];

/// Bytes of a quantity such as `1Gi`, `500M` or `2e9`; `None` where it is none.
pub(super) fn bytes(quantity: &str) -> Option<u64> {
    let (number, unit) =
        UNITS.iter().find_map(|(suffix, unit)| quantity.strip_suffix(suffix).map(|number| (number, unit)))?;
    let bytes = number.parse::<f64>().ok()? * unit;
    (bytes.is_finite() && bytes >= 0.0).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn quantities_are_read_as_kubernetes_means_them() {
        let read = ["1Gi", "64Mi", "500M", "1.5k", "2e9", "1024", "100m"].map(bytes);
        assert_eq!(read, [1 << 30, 64 << 20, 500_000_000, 1_500, 2_000_000_000, 1_024, 0].map(Some));
        assert_eq!(["", "Gi", "1Zi", "-1Gi", "nan"].map(bytes), [None; 5]);
    }
}
