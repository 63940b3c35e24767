//! The pages in a real browser, at the widths of a phone, a laptop and a desktop, light and dark. Where no Chromium is installed the
//! test says so and checks nothing.

#[allow(dead_code, reason = "its main is the example's")]
#[path = "../examples/sample_report.rs"]
mod sample_report;
#[allow(dead_code, reason = "another test uses the rest")]
#[path = "samples/study.rs"]
mod sample_study;

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the page is asked: what leaves the screen, which labels of a drawing cover each other, which text is faint.
const PROBE: &str = include_str!("browser/probe.js");
/// Widths in CSS pixels.
const WIDTHS: [u32; 3] = [390, 1280, 1920];
/// Value of Blink's setting for the preferred colours, and its name.
const THEMES: [(u32, &str); 2] = [(0, "dark"), (1, "light")];

/// The first Chromium in the search path.
fn chromium() -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.iter().flat_map(|name| folders.iter().map(move |at| at.join(name))).find(|path| path.is_file())
}

/// The answers of `page` at every width: a JSON array of objects.
fn answers(chromium: &Path, page: &Path, theme: u32) -> serde_json::Value {
    let html = std::fs::read_to_string(page).unwrap();
    // The page allows its own script alone; the copy that is asked has none of its policy.
    let policy = html.find("<meta http-equiv").unwrap();
    let end = policy + html[policy..].find('>').unwrap() + 1;
    let asked = format!("{}{}", &html[..policy], &html[end..]);
    let asked = asked.replace("</body>", &format!("<script>{PROBE}</script></body>"));
    std::fs::write(page.with_file_name("asked.html"), asked).unwrap();
    let frame = |width: &u32| {
        format!("<iframe src='asked.html' style='border:0;width:{width}px;height:900px'></iframe>")
    };
    let frames = WIDTHS.iter().map(frame).collect::<Vec<_>>().concat();
    let collect = "<pre id='found'></pre><script>const found = []; onmessage = (event) => { found.push(event.data); \
                   document.getElementById('found').textContent = JSON.stringify(found); };</script>";
    let outer = page.with_file_name("outer.html");
    std::fs::write(&outer, format!("<!doctype html><body>{collect}{frames}</body>")).unwrap();
    let dump = Command::new(chromium)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=2000,3000"])
        .args(["--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--blink-settings=preferredColorScheme={theme}"))
        .arg(format!("--user-data-dir={}", page.with_file_name("profile").display()))
        .arg(format!("file://{}", outer.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&dump.stdout);
    let start = dom.find("<pre id=\"found\">").unwrap_or_else(|| panic!("no answer: {dom}")) + 16;
    let text = dom[start..start + dom[start..].find("</pre>").unwrap()].replace("&amp;", "&");
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Asks the page at every width in both themes: nothing may be cut off, covered or faint. Then `more` is asked of each answer.
fn check(page: &Path, more: impl Fn(&serde_json::Value)) {
    let Some(chromium) = chromium() else {
        println!("not run: no Chromium is installed");
        return;
    };
    for (theme, name) in THEMES {
        let found = answers(&chromium, page, theme);
        let found = found.as_array().unwrap();
        assert_eq!(found.len(), WIDTHS.len(), "{name}: {found:?}");
        for answer in found {
            assert_eq!(answer["dark"], theme == 0, "{name}");
            for fault in ["cut", "covered", "faint", "errors"] {
                assert_eq!(
                    answer[fault],
                    serde_json::json!([]),
                    "{name}, {} pixels: {fault}",
                    answer["width"]
                );
            }
            more(answer);
        }
    }
}

/// The script has done its work: sliders over the ten pairs, tables that sort, values of a chart under the keyboard.
#[test]
fn a_report_is_whole_at_every_width() {
    let folder = tempfile::tempdir().unwrap();
    let page = sample_report::sample().unwrap().write(folder.path()).unwrap();
    check(&page, |answer| {
        assert_eq!((&answer["sliders"], &answer["sorted"]), (&10.into(), &true.into()), "{answer}");
        assert_eq!(answer["tip"], "step gate, step 1: computed", "{answer}");
    });
}

#[test]
fn a_study_is_whole_at_every_width() {
    let folder = tempfile::tempdir().unwrap();
    let page = sample_study::study().write(folder.path()).unwrap();
    check(&page, |answer| assert_eq!(answer["families"], 2, "{answer}"));
}
