//! The report's page is read by a browser: its scripts must draw the run, without an error of their own. Where the
//! machine has no Chromium, only the text of the page is checked.
#![allow(clippy::print_stdout)] // a skipped test says why

use std::path::Path;
use std::process::Command;

use forename::replica::GossipLimits;
use forename_sim::plan::{Action, Ask, Disk, Ending, Fault, Links, Otherwise, Plan, Trouble, Wish};
use forename_sim::report::page;
use forename_sim::run::Failure;

fn plan() -> Plan {
    let register = |at, host, slot, name: &str| {
        let owner = format!("<owner{slot}>");
        let wish = Wish { slot, own_id: true, owner, names: vec![name.to_owned()], ..Wish::default() };
        Action { at, host, ask: Ask::Register(wish), otherwise: Otherwise::GivesUp }
    };
    Plan {
        seed: 1,
        founders: 3,
        joiners: Vec::new(),
        links: Links { least: 10_000, jitter: 0, slow: 0, loss: 0, twice: 0, idle: 1000, rate: None },
        spread: GossipLimits::default(),
        evict_after: None,
        keep_log: 60_000,
        snapshot_ttl: 3_600_000,
        keep_events: None,
        promise_every: 1000,
        acquainted: false,
        dials: None,
        disk: Disk { least: 100, jitter: 0 },
        clocks: vec![(0, 0), (150, 0), (0, 0)],
        actions: vec![register(2100, 0, 1, "alice"), register(2200, 2, 2, "alice"), register(2300, 1, 3, "bob")],
        lies: Vec::new(),
        faults: vec![
            Fault { at: 2000, lasts: 1500, what: Trouble::Split(vec![2]) },
            Fault { at: 4000, lasts: 700, what: Trouble::Crash { host: 1, kept: 0 } },
        ],
        heal_at: 6000,
        ending: Ending::Healed,
        wrong_for_good: Vec::new(),
        recovers: None,
        patience: 60_000,
    }
}

/// Returns a plan that cannot end well, because its patience is 0.
fn hopeless() -> Plan {
    let mut plan = plan();
    plan.patience = 0;
    plan.actions.push(Action { at: 6000, ..plan.actions[2].clone() });
    plan.links.least = 2_000_000;
    plan
}

/// A script that uses every control and points at each place of the picture.
const HANDS: &str = r#"<script>
for (const button of document.querySelectorAll("button")) if (button.id !== "save") button.click();
for (const box of document.querySelectorAll("input[type=checkbox]")) { box.click(); show(); box.click(); show(); }
for (const key of ["+", "-", "ArrowLeft", "ArrowRight", "0", "n", "n", "p", "f", "Escape"]) {
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
}
for (const colour of ["fate", "name", "registration"]) { by("colour").value = colour; by("colour").onchange(); show(); }
canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -300, cancelable: true }));
show();
const all = hits.map(hit => hit.item());
for (let px = 0; px < width; px += 9) for (let py = 0; py < height; py += 9) { const hit = nearest(px, py); if (hit) tip(hit.item(), px, py); }
focusOn();
by("name").value = "alice";
by("name").oninput();
show();
document.documentElement.dataset.used = all.every(words => words.length > 0) && all.length > 5 ? "yes" : "no";
</script></body>"#;

fn chromium() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()))
}

/// Returns the page after its scripts have run; none where no browser can run them.
fn rendered(html: &str, name: &str, hash: &str) -> Option<String> {
    let Some(chromium) = chromium() else {
        assert!(std::env::var("CI").is_err(), "the gate installs chromium");
        println!("skipped: there is no chromium here to read the page");
        return None;
    };
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("a directory for the page");
    let file = dir.join("page.html");
    std::fs::write(&file, html.replace("</body>", HANDS)).expect("the page is written");
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--window-size=1400,900"])
        .arg(format!("--user-data-dir={}", dir.join("user").display()))
        .args(["--dump-dom", &format!("file://{}#{hash}", file.display())])
        .output()
        .expect("chromium starts");
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let _ = std::fs::remove_dir_all(&dir);
    let root = dom.lines().find(|line| line.starts_with("<html")).unwrap_or_default().to_owned();
    assert!(!root.contains("data-error"), "{root}");
    assert!(root.contains("data-ready=\"yes\""), "its scripts did not come to their end: {root}");
    assert!(root.contains("data-used=\"yes\""), "a control does not work: {root}");
    Some(dom)
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn a_page_needs_nothing_else_and_holds_no_markup_of_its_data() {
    let (report, html) = page(&plan());
    assert_eq!(report.failure, None);
    assert_eq!(report.hash, forename_sim::run::run(&plan()).hash, "looking changes nothing");
    assert!(!html.contains("<owner1>"), "what clients say is no markup");
    assert!(html.contains("\\u003cowner1>"));
    for foreign in ["http://", "https://", "src=", "@import", "{{"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
}

#[test]
fn a_well_run_has_a_lane_for_each_node_and_a_row_for_each_registration() {
    let (_, html) = page(&plan());
    for theme in ["light", "dark"] {
        let Some(dom) = rendered(&html, theme, &format!("theme={theme}")) else { return };
        assert_eq!(count(&dom, "class=\"lane"), 4, "and one for the newcomer that is let in at the end");
        assert!(dom.contains("all well"));
        assert!(dom.contains("clock +150 ms"));
        assert!(dom.contains("partition: 2 | 0, 1"));
        assert!(dom.contains("<td class=\"lost\">lost to R1</td>"), "the later claim, as the oracle sees it");
        assert_eq!(count(&dom, "<td class=\"rejected\">"), 3, "and as each node does");
        assert!(dom.contains("<td class=\"confirmed\">"));
    }
}

#[test]
fn a_failure_is_told_in_words_and_where_it_happened() {
    let (report, html) = page(&hopeless());
    assert!(matches!(report.failure, Some(Failure::Liveness(_))), "{report:?}");
    let Some(dom) = rendered(&html, "hopeless", "hide=faint&squeeze=no") else { return };
    assert!(dom.contains("something never happened"));
    assert!(dom.contains("A healed cluster decides everything within a bounded time."));
    assert!(dom.contains("replay plan.json"));
    assert!(dom.contains("lane named"), "the host that it names stands out");
}

#[cfg(feature = "planted")]
#[test]
fn planted_bugs_make_pages_that_name_them() {
    use forename::planted::{Bug, plant};
    use forename_sim::generate::{Size, generate};
    std::panic::set_hook(Box::new(|_| {}));
    let mut pages = Vec::new();
    for bug in [Bug::TieByArrival, Bug::SpeakBeforeFsync, Bug::PromiseWithoutPrefix, Bug::ConfirmedThoughLost] {
        plant(Some(bug));
        let found = (1..400).find_map(|seed| forename_sim::shrink::shrink(&generate(seed, Size::default())));
        let (plan, failure) = found.expect("each planted bug is found");
        pages.push((bug, plan.hosts(), failure.violation().check, page(&plan).1));
        plant(None);
    }
    let _ = std::panic::take_hook();
    for (bug, hosts, check, html) in pages {
        let Some(dom) = rendered(&html, &format!("{bug:?}"), "") else { return };
        // The newcomer that is let in at the end may be there already.
        assert!((hosts..=hosts + 1).contains(&count(&dom, "class=\"lane")), "{bug:?}");
        assert!(dom.contains(&format!("check “{check}”")), "{bug:?}");
        assert!(dom.contains("lane named") && dom.contains("class=\"wrong\""), "{bug:?}");
    }
}
