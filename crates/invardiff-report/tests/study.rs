//! A comparison of methods as it lies on disk.

#[path = "samples/study.rs"]
mod sample;

use invardiff_report::Study;

use sample::{line, study};

#[test]
fn a_study_writes_its_page_its_numbers_and_its_charts() {
    let folder = tempfile::tempdir().unwrap();
    let page = study().write(folder.path()).unwrap();
    assert_eq!(page, folder.path().join("study.html"));
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "overview-converged.svg",
        "overview-full.svg",
        "panel-1-converged.svg",
        "panel-1-full.svg",
        "panel-2-converged.svg",
        "panel-2-full.svg",
        "points.csv",
        "points.md",
        "strip-1.png",
        "study.html",
        "study.json",
    ];
    assert_eq!(names, expected);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let chart = read("panel-2-full.svg");
    // Fewer steps are in every chart; the lines of other panels are not.
    assert!(chart.contains("fewer steps") && chart.contains("first-block") && !chart.contains("fora"));
    assert_eq!(chart.matches("<circle").count(), 4);
    // All of them are in the overview, where the line joins what nothing beats: both settings of the best.
    let overview = read("overview-full.svg");
    assert_eq!((overview.matches("knot c0").count(), overview.matches("knot other").count()), (2, 4));
    let page = read("study.html");
    assert!(page.contains("Plans are worth it.") && page.contains("data-section=\"panel-2\""));
    assert!(page.contains("what &lt;fora&gt; does") && !page.contains("what <fora>"));
    let links = page.replace("http://www.w3.org", "");
    assert!(!links.contains("http:") && !links.contains("https:"), "the page needs nothing from outside");
    let numbers: serde_json::Value = serde_json::from_str(&read("study.json")).unwrap();
    assert_eq!(numbers["panels"][0]["lines"][0]["points"][1]["full"]["psnr_mean"], 27.0);
    assert_eq!(numbers["panels"][0]["lines"][0]["points"][0]["full"]["ssim_worst"], serde_json::Value::Null);
    assert_eq!(read("points.csv").lines().count(), 1 + 6);
    assert!(read("points.csv").contains(
        "\"Policies\",\"first-block\",\"n 4\",0.25,3.6,4,25,20,0.95,NaN,,,22,20,0.95,NaN,,,,,2048"
    ));
    assert!(
        read("points.md")
            .contains("| fora, n 2 | 50.0 % | 2.00x | 1.80x | 2.00x | 35.00 | 30.00 | 0.9500 | - |")
    );
}

#[test]
fn the_text_is_aligned_and_shows_what_is_known() {
    let text = study().text();
    let rows: Vec<&str> = text.lines().filter(|line| line.contains('%')).collect();
    assert_eq!(rows.len(), 6);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
    assert!(text.contains("converged mean") && !text.contains("LPIPS") && !text.contains("class"), "{text}");
    let mut seen = study();
    for line in &mut seen.panels[0].lines {
        line.points[0].accuracy = Some(0.875);
        line.points[0].frechet = Some(12.5);
        line.points[0].full.lpips = Some([0.1, 0.25]);
    }
    let text = seen.text();
    for part in ["class", "87.5 %", "Fréchet", "12.50", "LPIPS worst", "0.2500"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn more_lines_than_can_be_told_apart_are_refused() {
    let mut many = study();
    many.panels[1].lines = (0..=Study::LINES).map(|n| line(&format!("m{n}"), 30.0)).collect();
    let folder = tempfile::tempdir().unwrap();
    let error = many.write(&folder.path().join("study")).unwrap_err().to_string();
    assert!(error.contains("the panel 'Policies'"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
