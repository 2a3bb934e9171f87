//! What axe-core finds on every page, in both themes and on a phone: nothing serious.

use serde_json::Value;

use crate::devtools::Page;
use crate::process::Up;

const AXE: &str = include_str!("../browser/vendor/axe-core/axe.min.js");
/// The rules of WCAG 2.2, levels A and AA, and what is good practice beyond them.
const RUN: &str = "axe.run(document, {
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  resultTypes: ['violations'],
}).then(({ violations }) => violations.flatMap(({ id, impact, help, nodes }) => nodes.map((node) =>
  `${impact} ${id}: ${help}: ${node.target} ${node.failureSummary}`)))";

/// Brings axe into the page.
pub fn equip(page: &mut Page) {
    page.evaluate(&format!("{AXE}; 0"));
}

fn findings(page: &mut Page) -> Vec<String> {
    let found = page.evaluate(RUN);
    let found = found.as_array().expect("a list of findings").iter();
    found.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What a person would stumble over. Of a page that has axe.
pub fn serious(page: &mut Page) -> Vec<String> {
    let mut found = findings(page);
    found.retain(|one| one.starts_with("serious") || one.starts_with("critical"));
    found
}

#[test]
fn axe_finds_nothing_serious() {
    let up = Up::start(&["--history", "3h", "--seed", "7"]);
    let mut page = Page::open(&up.url, 1_360, 850);
    page.wait_for("document.body.dataset.candles >= 30");
    page.wait_for("document.querySelectorAll('#symbols .change:not(:empty)').length >= 10");
    equip(&mut page);
    for (width, theme) in [(1_360, "dark"), (1_360, "light"), (390, "light"), (390, "dark")] {
        page.resize(width, 850);
        page.evaluate(&format!(
            "document.documentElement.dataset.theme === '{theme}' ||
             document.getElementById('theme').click()"
        ));
        page.evaluate("document.getElementById('explain-last').click()");
        page.wait_for("document.querySelectorAll('#explain-body .setter').length === 4");
        page.evaluate("document.getElementById('indicators').open = true");
        assert_eq!(serious(&mut page), Vec::<String>::new(), "chart, {theme}, {width} px");
        page.evaluate("document.getElementById('explain-close').click()");
        page.press("m");
        page.wait_for("document.body.dataset.shown === 'market'");
        page.wait_for("document.body.dataset.overview === '14'");
        assert_eq!(serious(&mut page), Vec::<String>::new(), "market, {theme}, {width} px");
        page.press("p");
        page.wait_for("document.body.dataset.shown === 'pipeline'");
        page.wait_for("/[1-9]/.test(document.querySelector('[data-key=merged] dd').textContent)");
        assert_eq!(serious(&mut page), Vec::<String>::new(), "pipeline, {theme}, {width} px");
        page.evaluate("document.getElementById('help').showModal()");
        assert_eq!(serious(&mut page), Vec::<String>::new(), "help, {theme}, {width} px");
        page.evaluate("document.getElementById('help').close()");
        page.press("c");
        page.wait_for("document.body.dataset.shown === 'chart'");
    }
    // And it would find something.
    page.evaluate("document.getElementById('theme').removeAttribute('aria-label')");
    page.evaluate("document.getElementById('theme').removeAttribute('title')");
    assert!(serious(&mut page).iter().any(|one| one.contains("button-name")));
}
