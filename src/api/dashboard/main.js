// Asks the node every two seconds how the cluster is, follows its feed with one stream, and hands both to the sections.
import { showBackups } from "./backups.js";
import { by, visible } from "./dom.js";
import { pauseFeed, sayFeed, takeFeed } from "./feed.js";
import { look, showClaim, takeLook, watchLook } from "./look.js";
import { showMembers } from "./members.js";
import { Refused, ask, follow, token } from "./node.js";
import { showPending, takePending } from "./pending.js";
import { showConflicts, showNamespaces, takeReports } from "./reports.js";
import { showVerdict } from "./verdict.js";
import { showWebhooks } from "./webhooks.js";
import { learnLabels, millis, ofTimestamp, span } from "./words.js";

const LOOK = 2000;
const LOOK_HIDDEN = 20_000;
/** What was seen longer ago is called old. */
const STALE = 7000;
/** The feed begins so many events back, and a reader that is further behind than the second figure leaves some out. */
const BACK = 200;
const FAR = 2000;
/** Between a stream that ended and the next. */
const AGAIN = 1000;

const root = document.documentElement;

let cluster;
let seenAt = 0;
let trouble = "";
let looking;

// What goes wrong in the page itself is said in its place, and a test can find it there.
addEventListener("error", event => (root.dataset.error = event.message));
addEventListener("securitypolicyviolation", event => (root.dataset.error = event.violatedDirective));
addEventListener("unhandledrejection", event => (root.dataset.error = String(event.reason)));

async function poll() {
  clearTimeout(looking);
  try {
    const found = await ask("/v1/cluster");
    trouble = "";
    seenAt = Date.now();
    const first = !cluster;
    cluster = found;
    show();
    if (first) begin();
  } catch (error) {
    trouble = error.message;
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) askForToken(error.message);
  }
  age();
  looking = setTimeout(poll, document.hidden ? LOOK_HIDDEN : LOOK);
}

function show() {
  by("token-form").hidden = true;
  by("forget").hidden = !token.get();
  by("node-label").textContent = visible(cluster.label) + (cluster.reader ? " (reader)" : "");
  by("node-id").textContent = cluster.node;
  learnLabels(cluster.members);
  showVerdict(cluster);
  showMembers(cluster);
  showClaim(cluster);
  showPending(cluster);
  showWebhooks();
  showBackups(cluster);
  watchLook();
}

/** Says so where what is shown is old. */
function age() {
  const old = Date.now() - seenAt;
  const stale = old > STALE && by("token-form").hidden;
  by("stale").hidden = !stale;
  root.classList.toggle("stale", stale);
  if (!stale) return;
  const since = seenAt ? `What you see is ${span(old)} old.` : "Nothing is known of it yet.";
  by("stale").textContent = `This node does not answer. ${since} ${trouble}`;
}

function askForToken(why) {
  by("token-why").textContent = why;
  by("token-form").hidden = false;
}

by("token-form").addEventListener("submit", event => {
  event.preventDefault();
  token.set(by("token").value.trim());
  by("token").value = "";
  poll();
});
by("forget").addEventListener("click", () => {
  token.forget();
  location.reload();
});

function begin() {
  showConflicts();
  showNamespaces();
  look();
  stream();
}

const cursor = text => ({ feed: text.slice(0, text.lastIndexOf("-")), number: Number(text.slice(text.lastIndexOf("-") + 1)) });

/** The number of the last event before a time. Events stand in the order of their times, so a few looks find it. */
async function seek({ start, last }, time) {
  const { feed, number } = cursor(start);
  let [before, after] = [number, cursor(last).number];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    const page = await ask(`/v1/events?after=${feed}-${middle}&limit=1`);
    if (page.events.length > 0 && millis(page.events[0].time) < time) before = middle;
    else after = middle;
  }
  return before;
}

/**
 * Where the feed begins. Its cursors are opaque to clients; this page comes from the node itself and counts with them. What is
 * not decided yet was accepted after the watermark, so what is older is found from there.
 */
async function beginning() {
  const { events } = cluster;
  const [start, last] = [cursor(events.start), cursor(events.last)];
  const recent = Math.max(start.number, last.number - BACK);
  if (cluster.pending === 0) return `${last.feed}-${recent}`;
  const open = await seek(events, ofTimestamp(cluster.watermark));
  if (last.number - open > FAR) {
    const page = await ask(`/v1/events?after=${last.feed}-${open}&types=accepted,contested&limit=500`);
    page.events.forEach(takePending);
    return `${last.feed}-${recent}`;
  }
  return `${last.feed}-${Math.min(open, recent)}`;
}

let place;
let following;

async function stream() {
  for (;;) {
    try {
      const [last, here] = [cursor(cluster.events.last), place && cursor(place)];
      if (!here || here.feed !== last.feed || last.number - here.number > FAR) place = await beginning();
      following = new AbortController();
      sayFeed("live");
      for await (const messages of follow(place, following.signal)) messages.forEach(take);
      sayFeed("begins again");
    } catch (error) {
      if (error instanceof Refused) sayFeed(error.message);
      else sayFeed(document.hidden ? "stands while nobody looks" : "begins again");
      if (error instanceof Refused && error.problem.restart) place = error.problem.restart;
    }
    await new Promise(done => setTimeout(done, AGAIN));
    if (document.hidden) await new Promise(done => addEventListener("visibilitychange", done, { once: true }));
  }
}

function take({ cursor: at, event }) {
  place = at ?? place;
  if (!event) return;
  takeFeed(event);
  takePending(event);
  takeLook(event);
  takeReports(event);
  if (event.type === "forename.registration.accepted") newNamespace(event.data.registration);
}

let namespaces;

/** A namespace that the page has not seen comes with the first claim in it. */
function newNamespace(registration) {
  const known = new Set([...by("namespaces").children].map(element => element.dataset.namespace));
  if (namespaces || (registration.names ?? []).every(({ namespace }) => known.has(namespace))) return;
  namespaces = setTimeout(async () => {
    await showNamespaces();
    namespaces = undefined;
  }, AGAIN);
}

addEventListener("visibilitychange", () => {
  if (document.hidden) following?.abort();
  else poll();
});

addEventListener("keydown", event => {
  const types = event.target.closest("input, select, textarea, [contenteditable]");
  if (types || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    by("look-name").focus();
  }
  if (event.key === "p") pauseFeed();
});

const THEME = "forename-theme";
if (localStorage.getItem(THEME)) root.dataset.theme = localStorage.getItem(THEME);
by("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem(THEME, root.dataset.theme);
});

setInterval(age, 1000);
poll();
