// The verdict: how this node is, and what to do. The sentences are the node's own; `forename status` says the same.
import { by, command, make, put, visible } from "./dom.js";
import { ofTimestamp, span } from "./words.js";

const TITLES = { healthy: "Healthy", degraded: "Degraded", "read-only": "Read-only" };
/** The address that the command line asks unless told otherwise. */
const USUAL = "http://127.0.0.1:7400";

const title = make("h3", { id: "verdict-title", "aria-live": "polite" });
const sentence = make("p");
const troubles = make("ul");
by("verdict").append(title, sentence, troubles);

export function showVerdict(cluster) {
  const health = cluster.health ?? { verdict: "degraded", troubles: [] };
  by("verdict").className = `verdict ${health.verdict}`;
  const words = TITLES[health.verdict] ?? health.verdict;
  if (title.textContent !== words) title.textContent = words;
  sentence.textContent = inShort(health.verdict, cluster);
  put(troubles, (health.troubles ?? []).map(trouble));
  document.title = `${words} – ${visible(cluster.label || cluster.node)} – forename`;
}

function inShort(verdict, cluster) {
  if (verdict === "read-only") return "This node answers questions. It takes no registrations:";
  if (verdict === "degraded") return "This node takes registrations. Their outcomes may take longer:";
  const others = cluster.members.length - 1;
  const contact = others === 0 ? "the only member" : `in contact with ${others === 1 ? "the other member" : `all ${others} others`}`;
  const lag = Date.parse(cluster.time) - ofTimestamp(cluster.watermark);
  return `This node is ${contact}. What was claimed until ${span(lag)} ago can be decided.`;
}

function trouble({ code, why, command: helps }) {
  const item = make("li", { "data-code": code }, visible(why));
  if (helps) item.append(make("br"), command(addressed(helps)));
  return item;
}

/** The command as it is to be typed, where the node is not at the usual address. */
export function addressed(text) {
  const asksNode = /^forename (backup|member|status|explain) /.test(text);
  return asksNode && location.origin !== USUAL ? `${text} --node ${location.origin}` : text;
}
