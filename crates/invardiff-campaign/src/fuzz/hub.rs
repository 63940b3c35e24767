//! What a hub answers.

use std::path::{Component, Path};

use invardiff::HubId;

/// A hub's list of files. Whatever it says, a file that would be fetched has a name below its folder and a hash as its place.
pub fn listing(input: &[u8]) -> bool {
    let id = HubId::parse("owner/name").expect("it is an id");
    let Ok(files) = id.listed(input) else { return false };
    for file in &files {
        let inside = Path::new(&file.name).components().all(|part| matches!(part, Component::Normal(_)));
        assert!(inside && !file.name.contains(['\\', ':', '\0', '\u{1b}']), "{:?}", file.name);
        let digits = file.hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(digits && matches!(file.hash.len(), 40 | 64), "{:?}", file.hash);
    }
    true
}
