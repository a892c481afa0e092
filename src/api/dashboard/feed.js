// The live feed: a row for each registration, whose outcome takes the place of `pending`, and one for each name that ended.
import { by, chip, foreign, make, visible } from "./dom.js";
import { clock, labelOf, millis, nameLink, registrationLink, span } from "./words.js";

const ROWS = 200;

/** Rows by what they are about: the newest is the first child. */
const rows = new Map();
/** Events that came while the feed stands, or since the last picture. */
let waiting = [];
let paused = false;
let planned = false;

export function takeFeed(event) {
  waiting.push(event);
  // Who reads slower than events come sees the latest; the node has them all.
  if (waiting.length > 4 * ROWS) waiting = waiting.slice(-2 * ROWS);
  if (paused) by("feed-pause").textContent = `go on (${waiting.length} new)`;
  else plan();
}

function plan() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    if (paused) return;
    const events = waiting;
    waiting = [];
    for (const event of events) take(event);
    for (const element of [...by("feed").children].slice(ROWS)) {
      rows.delete(element.dataset.key);
      element.remove();
    }
  });
}

function take(event) {
  const ended = event.type === "forename.name.ended";
  const key = ended ? event.id : event.data.registration.id;
  const known = rows.get(key);
  const element = ended ? endedRow(event) : registrationRow(event);
  element.dataset.key = key;
  element.dataset.text = textOf(event).toLowerCase();
  element.hidden = !matches(element);
  rows.set(key, element);
  if (!known?.isConnected) return by("feed").prepend(element);
  element.classList.add("changed");
  known.replaceWith(element);
}

function textOf({ data: { registration, name } }) {
  const names = (registration.names ?? []).map(claim => `${claim.namespace}/${claim.name || claim.key}`);
  return [registration.id, registration.owner, ...names, name?.key, labelOf(registration.node)].join(" ");
}

function namesOf(registration) {
  const links = (registration.names ?? []).flatMap((claim, index) => [
    index ? ", " : null,
    nameLink(claim.namespace, claim.name, claim.key),
  ]);
  return make("span", {}, ...links);
}

function registrationRow(event) {
  const { registration, rejected_by: winner } = event.data;
  const kind = event.type.replace("forename.registration.", "");
  const state = kind === "accepted" ? "pending" : kind;
  const took = millis(event.time) - millis(registration.accepted_at);
  return make(
    "li",
    { class: state, "data-state": state, "data-registration": registration.id },
    clock(event.time),
    chip(state),
    namesOf(registration),
    make("span", { class: "quiet" }, "for ", foreign(registration.owner ?? ""), ` at ${visible(labelOf(registration.node))}`),
    registrationLink(registration.id),
    (state === "confirmed" || state === "rejected") && make("span", { class: "quiet" }, `after ${span(took)}`),
    winner && loss(state, winner),
  );
}

function loss(state, winner) {
  const verb = state === "rejected" ? "lost" : "will probably lose";
  return make(
    "span",
    { class: "more loss" },
    `${verb} ${winner.namespace}/`,
    foreign(winner.name || "…"),
    " to an earlier claim: ",
    registrationLink(winner.registration),
    ", of ",
    clock(winner.accepted_at),
  );
}

function endedRow(event) {
  const { name, reason, registration } = event.data;
  return make(
    "li",
    { class: "ended", "data-state": "ended" },
    clock(event.time),
    chip("ended", reason ?? "ended"),
    name && nameLink(name.namespace, name.name, name.key),
    make("span", { class: "quiet" }, "of ", foreign(registration.owner ?? "")),
    registrationLink(registration.id),
  );
}

const filter = { text: "", state: "" };

function matches(element) {
  const fits = !filter.state || element.dataset.state === filter.state;
  return fits && element.dataset.text.includes(filter.text);
}

function refilter() {
  filter.text = by("feed-filter").value.trim().toLowerCase();
  filter.state = by("feed-kind").value;
  for (const element of by("feed").children) element.hidden = !matches(element);
}

export function pauseFeed() {
  paused = !paused;
  by("feed-pause").textContent = paused ? "go on" : "pause";
  by("feed-pause").setAttribute("aria-pressed", String(paused));
  if (!paused) plan();
}

/** Says how the stream stands. */
export function sayFeed(words) {
  by("feed-state").textContent = words;
}

by("feed-pause").addEventListener("click", pauseFeed);
by("feed-filter").addEventListener("input", refilter);
by("feed-kind").addEventListener("change", refilter);
