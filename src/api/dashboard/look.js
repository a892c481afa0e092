// Looking up a name or a registration, and trying a name. What is shown stands in the address, after the `#`.
import { by, chip, foreign, make, put, visible } from "./dom.js";
import { ask, may, tell } from "./node.js";
import { timeline } from "./timeline.js";
import { clock, labelOf, millis, nameLink, namePath, registrationLink, waits } from "./words.js";

/** What is shown: `{namespace, name}` or `{registration}`. */
let subject;
/** Counts the look-ups, so that a slow answer does not take the place of a later one. */
let asked = 0;
let again;

/** What the address says is to be shown. */
function addressed() {
  const [kind, ...parts] = location.hash.slice(1).split("/");
  let words;
  try {
    words = parts.map(decodeURIComponent);
  } catch {
    return undefined;
  }
  if (kind === "name" && words.length === 2) return { namespace: words[0], name: words[1] };
  if (kind === "registration" && words.length === 1) return { registration: words[0] };
  return undefined;
}

export async function look() {
  const found = addressed();
  if (!found) return;
  const moved = JSON.stringify(found) !== JSON.stringify(subject);
  subject = found;
  if (found.name !== undefined) {
    by("look-namespace").value = found.namespace;
    by("look-name").value = found.name;
  }
  const number = ++asked;
  const answer = await (found.registration ? registration(found.registration) : name(found)).catch(refused);
  if (number !== asked) return;
  put(by("look-answer"), answer);
  if (moved) by("look-title").scrollIntoView({ block: "start" });
}

const refused = error => make("p", { class: "error panel answer" }, error.message);

/** What was asked beside the main thing, or why it is not known. */
async function part(path, show) {
  try {
    return show(await ask(path));
  } catch (error) {
    return make("p", { class: "quiet" }, error.message);
  }
}

async function name({ namespace, name: typed }) {
  const path = namePath(namespace, typed);
  const found = await ask(path);
  const [why, past] = await Promise.all([part(`${path}/explanation`, explanation), part(`${path}/history`, timeline)]);
  const facts = [
    ["key", foreign(found.key, "code")],
    found.registration && ["held by", registrationLink(found.registration, found.registration)],
    found.since && ["since", clock(found.since)],
    found.looks_like && ["looks like", foreign(found.looks_like)],
    found.free_at && ["kept from others until", clock(found.free_at)],
  ];
  const title = make("h3", {}, foreign(`${found.namespace}/${found.name}`), " ", chip(found.status));
  return make("div", { class: "panel answer", "data-state": found.status }, title, list(facts), why, past);
}

async function registration(id) {
  const path = `/v1/registrations/${encodeURIComponent(id)}`;
  const found = await ask(path);
  const why = await part(`${path}/explanation`, explanation);
  const names = (found.names ?? []).flatMap((claim, index) => [
    index ? ", " : null,
    nameLink(claim.namespace, claim.name, claim.key),
    claim.ended ? ` (${claim.ended})` : null,
  ]);
  const winner = found.rejected_by;
  const facts = [
    ["owner", foreign(found.owner ?? "")],
    ["names", names],
    ["accepted", [clock(found.accepted_at), ` at ${visible(labelOf(found.node))}`]],
    found.expires_at && ["reserved until", [clock(found.expires_at), found.activated ? " (activated: permanent)" : null]],
    winner && ["lost to", registrationLink(winner.registration, winner.registration)],
  ];
  const title = make("h3", {}, foreign(found.id, "span"), " ", chip(found.status));
  return make("div", { class: "panel answer", "data-state": found.status }, title, list(facts), why);
}

function list(facts) {
  const rows = facts.filter(Boolean).flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, ...[value].flat())]);
  return make("dl", {}, ...rows);
}

function explanation(found) {
  const decided = (found.decided_by ?? []).map(op =>
    make("li", {}, clock(op.at), ` node ${visible(op.label || op.node)} ${visible(op.what)}`),
  );
  const waiting = (found.waiting_for ?? []).map(member =>
    make("li", {}, `${visible(member.label || member.node)}: ${visible(member.why)}`),
  );
  return make(
    "div",
    { class: "why" },
    make("p", {}, visible(found.summary)),
    make("p", { class: "quiet" }, visible(found.rule)),
    decided.length > 0 && make("ul", {}, ...decided),
    waiting.length > 0 && [make("p", {}, "It waits for:"), make("ul", {}, ...waiting)],
    found.until && make("p", {}, visible(found.until)),
  );
}

by("look-form").addEventListener("submit", event => {
  event.preventDefault();
  const [namespace, typed] = [by("look-namespace").value, by("look-name").value].map(encodeURIComponent);
  const hash = `#name/${namespace}/${typed}`;
  if (location.hash === hash) look();
  else location.hash = hash;
});

by("claim-form").addEventListener("submit", async event => {
  event.preventDefault();
  if (!by("look-form").reportValidity()) return;
  const wanted = { namespace: by("look-namespace").value, name: by("look-name").value };
  const ttl = by("claim-ttl").value.trim();
  const body = { owner: by("claim-owner").value, names: [wanted], ...(ttl && { ttl }) };
  try {
    const { id } = await tell("/v1/registrations", body);
    location.hash = `#registration/${id}`;
  } catch (error) {
    asked++;
    put(by("look-answer"), refused(error));
  }
});

/** The claim form is there for those who may use it, on a node that takes registrations. */
export function showClaim(cluster) {
  by("claim-form").hidden = !may.has("register") || cluster.health?.verdict === "read-only";
}

/** Looks again at what is not decided: whom it waits for changes while nothing is told of it. */
export function watchLook() {
  const state = by("look-answer").firstElementChild?.dataset.state;
  if (["pending", "contested", "ending"].includes(state)) look();
}

/** Looks again where something has happened to what is shown. */
export function takeLook(event) {
  if (!subject) return;
  const { registration: of } = event.data;
  const concerns = subject.registration
    ? of.id === subject.registration
    : (of.names ?? []).some(claim => claim.namespace === subject.namespace && [claim.name, claim.key].includes(subject.name));
  if (!concerns || again) return;
  again = setTimeout(() => {
    again = undefined;
    look();
  }, 150);
}

addEventListener("hashchange", look);
