//! Files of a crate that use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use crate::files::File;

/// The files of a crate by module path (`core::site`), each with the module paths that its code names.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Checks that the files of each crate can be read in some order, every file after those it uses. What only tests use does
/// not count.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    roots(files).iter().flat_map(|root| of_crate(root, files)).collect()
}

/// Crates whose files still use each other in circles: parents and children alone. All others are free of circles and stay so.
const CIRCULAR: [&str; 3] = ["invardiff-models", "invardiff-cli", "invardiff-campaign"];

/// The source folders of all crates but those.
fn roots(files: &[File]) -> BTreeSet<String> {
    let root = |file: &File| {
        let (name, _) = file.path.strip_prefix("crates/")?.split_once("/src/")?;
        (!CIRCULAR.contains(&name)).then(|| format!("crates/{name}/src/"))
    };
    files.iter().filter_map(root).chain(["xtask/src/".to_owned()]).collect()
}

fn of_crate(root: &str, files: &[File]) -> Vec<Finding> {
    let module = |file: &File| {
        let inside = file.path.strip_prefix(root)?.strip_suffix(".rs")?;
        Some((if inside == "lib" { String::new() } else { inside.replace('/', "::") }, file.text.clone()?))
    };
    let texts: BTreeMap<String, String> = files.iter().filter_map(module).collect();
    let uses = |(module, text): (&String, &String)| {
        let named = paths(module, text).into_iter().map(|path| home(&path, &texts));
        (module.clone(), named.filter(|other| other != module).collect())
    };
    let uses: Uses = texts.iter().map(uses).collect();
    let named = |module: &str| if module.is_empty() { "lib".to_owned() } else { module.to_owned() };
    circle(&uses)
        .map(|circle| {
            let way = circle.iter().map(|module| named(module)).collect::<Vec<_>>().join(" -> ");
            Finding::new(root, format!("files use each other in a circle: {way}"))
        })
        .into_iter()
        .collect()
}

/// The file of a path: that of its longest beginning which is a file, `lib` in the end.
fn home(path: &str, texts: &BTreeMap<String, String>) -> String {
    let mut path = path;
    while !texts.contains_key(path) {
        path = path.rsplit_once("::").map_or("", |(parent, _)| parent);
        if path.is_empty() {
            break;
        }
    }
    path.to_owned()
}

/// The paths within the crate that the code of a file names: after `crate::` and `super::`, and the modules that it
/// declares.
fn paths(module: &str, text: &str) -> BTreeSet<String> {
    let code = code(text);
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let mut found = BTreeSet::new();
    for (start, base) in [("crate::", ""), ("super::", parent)] {
        for (index, _) in code.match_indices(start).filter(|(index, _)| !code[..*index].ends_with("in ")) {
            let named = leaves(&code[index + start.len()..]);
            found.extend(named.into_iter().map(|leaf| [base, &leaf].join("::")));
        }
    }
    for line in code.lines().filter_map(|line| line.trim().strip_suffix(';')) {
        if let Some((_, name)) = line.split_once("mod ") {
            found.insert([module, name].join("::"));
        }
    }
    found.into_iter().map(|path| path.trim_start_matches("::").to_owned()).collect()
}

/// Everything but comments and the tests at the end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(code).collect::<Vec<_>>().join("\n")
}

/// The paths of a use tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn leaves(tree: &str) -> Vec<String> {
    let mut found = branches(tree);
    found.retain(|path| !path.is_empty() && !path.ends_with("::"));
    found
}

fn branches(tree: &str) -> Vec<String> {
    let (mut found, mut prefixes, mut path) = (Vec::new(), Vec::new(), String::new());
    for letter in tree.chars() {
        match letter {
            '{' => prefixes.push(path.clone()),
            ',' | '}' => {
                found.push(std::mem::take(&mut path));
                if letter == '}' {
                    prefixes.pop();
                }
                path = prefixes.last().cloned().unwrap_or_default();
                if prefixes.is_empty() {
                    return found;
                }
            }
            _ if letter.is_alphanumeric() || letter == '_' || letter == ':' => path.push(letter),
            _ if letter.is_whitespace() && !prefixes.is_empty() => {}
            _ => break,
        }
    }
    found.push(path);
    found
}

/// The modules of a circle, the first named again at the end.
fn circle(uses: &Uses) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    uses.keys().find_map(|module| walk(module, uses, &mut Vec::new(), &mut done))
}

fn walk<'a>(
    module: &'a str,
    uses: &'a Uses,
    way: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<String>> {
    if let Some(start) = way.iter().position(|before| *before == module) {
        return Some(way[start..].iter().chain([&module]).map(ToString::to_string).collect());
    }
    if done.contains(module) {
        return None;
    }
    way.push(module);
    let found = uses[module].iter().find_map(|next| walk(next, uses, way, done));
    way.pop();
    done.insert(module);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sources: &[(&str, &str)]) -> Vec<String> {
        let file = |(path, text): &(&str, &str)| File {
            path: format!("crates/x/src/{path}.rs"),
            bytes: 0,
            text: Some((*text).into()),
        };
        let files: Vec<File> = sources.iter().map(file).collect();
        of_crate("crates/x/src/", &files).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_face_over_its_files_is_no_circle() {
        let sources = [
            ("lib", "pub mod a;\nmod b;\npub use a::One;"),
            ("a", "mod one;\nmod two;\npub use one::One;"),
            ("a/one", "use super::two::Two;\npub struct One(Two);"),
            ("a/two", "// crate::b::B\npub struct Two;\n#[cfg(test)]\nmod tests {\n    use crate::b::B;\n}"),
            ("b", "use crate::a::One;\npub struct B(One);"),
        ];
        assert!(found(&sources).is_empty());
    }

    #[test]
    fn a_circle_is_named_file_by_file() {
        let sources = [
            ("lib", "mod a;\nmod b;\nmod c;"),
            ("a", "use crate::{\n    b::{B, D},\n    E,\n};"),
            ("b", "fn f() { crate::c::g() }"),
            ("c", "use std::fmt;\nuse super::a;"),
        ];
        // `E` stands in `lib`, which declares `a`.
        assert_eq!(found(&sources), ["crates/x/src/: files use each other in a circle: lib -> a -> lib"]);
        let sources = [sources[0], ("a", "use crate::b::{B, D};"), sources[2], sources[3]];
        assert_eq!(found(&sources), ["crates/x/src/: files use each other in a circle: a -> b -> c -> a"]);
    }

    #[test]
    fn a_tree_has_a_path_for_every_leaf() {
        assert_eq!(leaves("a::{b, c::{d, e}, f};x"), ["a::b", "a::c::d", "a::c::e", "a::f"]);
        assert_eq!(leaves("a::b(c)"), ["a::b"]);
    }
}
