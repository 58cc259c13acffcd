//! A scenario file: parsing, decoding, all checks, and the messages about what is wrong.
#![no_main]

use std::collections::BTreeMap;

use forescale::ec2::known::known_in;
use forescale::scenario::Options;
use forescale::scenario::diagnostic::render;
use forescale::scenario::load::load_texts;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let texts = BTreeMap::from([("scenario.toml".to_owned(), text.to_owned())]);
    let options = Options { known: Some(&known_in), ..Options::default() };
    match load_texts("scenario.toml", texts, &options) {
        Ok(loaded) => drop(render(&loaded.problems, loaded.document.files(), true)),
        Err(invalid) => assert!(!invalid.to_string().is_empty()),
    }
});
