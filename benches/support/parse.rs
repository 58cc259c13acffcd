//! Objects from a text of TOML.

use forescale::api::decode::{Decode, Problems};

pub fn parse<T: Decode>(toml: &str) -> T {
    let mut problems = Problems::default();
    let tree = forescale::scenario::toml::parse(toml, 0, &mut problems);
    T::decode(&tree, &mut problems).unwrap_or_else(|| panic!("{:?}", problems.list))
}
