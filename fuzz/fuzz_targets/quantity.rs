//! Kubernetes quantities.
#![no_main]

use forescale::units::{parse_quantity, parse_quantity_milli};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let (Ok(whole), Ok(milli)) = (parse_quantity(text), parse_quantity_milli(text)) {
        // Both round away from zero.
        let rounded = milli / 1000 + (milli % 1000).signum();
        assert_eq!(whole, rounded, "{text}");
    }
});
