//! Writing cache books.

use ndarray::Array2;
use serde_json::{Map, Value};

use crate::formats::books::book::{AuthorBook, BookLayout, BookVersion};

impl AuthorBook {
    /// The book as JSON, with the keys of its layout and version, as the authors' scripts read it.
    pub fn to_json(&self) -> String {
        let mut object = self.metadata.clone();
        if self.version == BookVersion::V2 {
            object.insert("cache_version".into(), 2.into());
        }
        let gate = Value::from(self.gate.clone());
        let key = self.layout.gate_key(self.version).to_owned();
        match self.layout {
            BookLayout::Dit | BookLayout::Flux | BookLayout::Wan => object.insert(key, gate),
            BookLayout::Hybrid => section(&mut object, "step_policy_artifacts").insert(key, gate),
        };
        for name in self.layout.sections() {
            section(&mut object, name);
        }
        for (kind, array) in &self.streams {
            let (group, key) = self.layout.keys(*kind);
            match group {
                Some(group) => section(&mut object, group).insert(key, table(array)),
                None => object.insert(key, table(array)),
            };
        }
        format!("{:#}\n", Value::Object(object))
    }
}

impl BookLayout {
    /// The sections of a layout, which are written even when they are empty.
    const fn sections(self) -> &'static [&'static str] {
        match self {
            Self::Dit => &[],
            Self::Flux => &["transformer_cache_book", "single_transformer_cache_book"],
            Self::Wan => &["module_cache_book"],
            Self::Hybrid => &["layer_cache_book"],
        }
    }
}

/// The object under a key; an empty one is inserted where there is none.
fn section<'a>(object: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was made an object above")
}

fn table(array: &Array2<bool>) -> Value {
    array.outer_iter().map(|row| Value::from(row.to_vec())).collect()
}
