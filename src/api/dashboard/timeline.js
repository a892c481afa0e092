// Who held a name, as bars on a line of time and as a table.
import { chip, foreign, make, visible } from "./dom.js";
import { clock, millis, registrationLink, span } from "./words.js";

/** The tenures of a name, oldest first; nothing where there were none. */
export function timeline(history) {
  const tenures = [...(history.tenures ?? [])].sort((a, b) => millis(a.since) - millis(b.since));
  if (tenures.length === 0) return make("p", { class: "quiet" }, "Nobody has held it, as far as is known.");
  const now = Date.now();
  const first = millis(tenures[0].since);
  const whole = Math.max(1, now - first);
  const bars = tenures.map(tenure => bar(tenure, first, whole, now));
  const ends = make("div", { class: "ends" }, clock(tenures[0].since), make("span", {}, "now"));
  const more = history.next && make("p", { class: "quiet" }, "There is more: forename show --history lists all of it.");
  return make("div", {}, make("div", { class: "timeline", role: "presentation" }, ...bars), ends, table(tenures), more);
}

function bar({ holder, since, until }, first, whole, now) {
  const end = until ? millis(until) : now;
  const left = ((millis(since) - first) / whole) * 100;
  const open = !holder.ended;
  const title = `${holder.owner}: ${span(end - millis(since))}`;
  const element = make("div", { class: open ? "tenure open" : "tenure over", title: visible(title) }, foreign(holder.owner));
  element.style.left = `${Math.min(left, 99)}%`;
  // When a claim ended is not always known; such a bar ends where the next one begins, or is a mark.
  const width = open || until ? ((end - millis(since)) / whole) * 100 : 0.5;
  element.style.width = `${Math.max(0.5, Math.min(width, 100 - left))}%`;
  return element;
}

function table(tenures) {
  const head = ["holder", "registration", "from", "until", "how it stands", "who lost it"];
  const rows = tenures.map(({ holder, since, until, losers }) => [
    foreign(holder.owner),
    registrationLink(holder.registration),
    clock(since),
    until ? clock(until) : holder.ended ? "not known here" : "–",
    chip(holder.ended ?? holder.status),
    (losers ?? []).flatMap((loser, index) => [index ? ", " : null, foreign(loser.owner), " ", registrationLink(loser.registration)]),
  ]);
  const cells = row => make("tr", {}, ...row.map(cell => make("td", {}, ...[cell].flat())));
  const header = make("tr", {}, ...head.map(text => make("th", { scope: "col" }, text)));
  return make("div", { class: "wide" }, make("table", {}, make("thead", {}, header), make("tbody", {}, ...rows.map(cells))));
}
