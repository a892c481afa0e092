// How times, names and places are written.
import { foreign, make } from "./dom.js";

export const millis = time => (time ? Date.parse(time) : NaN);

/** A span of milliseconds as people say it. */
export function span(ms) {
  if (!Number.isFinite(ms)) return "never";
  const past = Math.max(0, ms);
  if (past < 10_000) return `${(past / 1000).toFixed(1)} s`;
  if (past < 600_000) return `${Math.round(past / 1000)} s`;
  if (past < 36_000_000) return `${Math.round(past / 60_000)} min`;
  if (past < 172_800_000) return `${Math.round(past / 3_600_000)} h`;
  return `${Math.round(past / 86_400_000)} days`;
}

/** A time of today as its hour, another one with its date; the whole of it when it is pointed at. */
export function clock(time) {
  const at = new Date(time);
  const today = at.toDateString() === new Date().toDateString();
  const shown = today ? at.toLocaleTimeString() : at.toLocaleString();
  return make("time", { datetime: time, title: time }, shown);
}

/** Milliseconds since 1970 of a timestamp of the cluster, `1795676889589.0`. */
export const ofTimestamp = text => Number.parseInt(text, 10);

const part = text => encodeURIComponent(text);

export const namePath = (namespace, name) => `/v1/names/${part(namespace)}/${part(name)}`;

/** A link that looks a name up on this page. A private name has no text, and only its key is known here. */
export function nameLink(namespace, name, key) {
  const text = `${namespace}/${name || key || "erased"}`;
  if (!name) return foreign(text);
  return make("a", { href: `#name/${part(namespace)}/${part(name)}` }, foreign(text));
}

/** A link that shows a registration on this page. */
export function registrationLink(id, text = `${id.slice(0, 13)}…`) {
  return make("a", { href: `#registration/${part(id)}`, title: id, class: "mono" }, text);
}

/** Nodes by the labels of the members, as last seen. */
const labels = new Map();

export function learnLabels(members) {
  for (const { node, label } of members) labels.set(node, label || node);
}

export const labelOf = node => labels.get(node) ?? node;

/** Why an outcome waits for a member. */
export function waits({ node, label, reason, since }, now) {
  const who = label || labelOf(node);
  switch (reason) {
    case "round-trip":
      return `${who} (a round trip more)`;
    case "clock-ahead":
      return `${who} (its clock is ahead)`;
    case "being-evicted":
      return `${who} (is being evicted)`;
    default:
      return since ? `${who} (not heard of for ${span(now - millis(since))})` : `${who} (never heard of)`;
  }
}
