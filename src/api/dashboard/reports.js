// Conflicts, and the namespaces with their rules.
import { by, chip, foreign, make, put, visible } from "./dom.js";
import { ask } from "./node.js";
import { clock, labelOf, nameLink, registrationLink } from "./words.js";

const HOUR = 3_600_000;

let planned;

/** The conflicts of the last hours, as many as a page holds. */
export async function showConflicts() {
  const since = new Date(Date.now() - Number(by("conflicts-since").value) * HOUR).toISOString();
  try {
    const found = await ask(`/v1/conflicts?limit=50&since=${encodeURIComponent(since)}`);
    put(by("conflicts"), found.conflicts.map(conflict));
    const none = found.conflicts.length === 0 && !found.next ? "No name was claimed twice." : "";
    by("conflicts-note").textContent = found.next ? "There are more: forename conflicts lists all." : none;
  } catch (error) {
    by("conflicts-note").textContent = error.message;
  }
}

function conflict({ namespace, key, status, winner, why, claims }) {
  const typed = claims.find(claim => claim.registration === winner)?.name || claims[0]?.name;
  const lines = claims.map(claim =>
    make(
      "span",
      { class: "more" },
      chip(claim.status),
      " ",
      foreign(claim.owner || "erased"),
      ` at ${visible(claim.label || labelOf(claim.node))}, `,
      clock(claim.accepted_at),
      " ",
      registrationLink(claim.registration),
      claim.registration === winner && make("b", {}, ` came first: ${why.replaceAll("-", " ")}`),
    ),
  );
  return make("li", { "data-key": key }, nameLink(namespace, typed || key, key), chip(status), ...lines);
}

/** Looks again soon after something that makes or ends a conflict. */
export function takeReports(event) {
  const kind = event.type.split(".").at(-1);
  if ((kind !== "contested" && kind !== "rejected") || planned) return;
  planned = setTimeout(() => {
    planned = undefined;
    showConflicts();
  }, 500);
}

/** The namespaces, each with its rules once it is opened. */
export async function showNamespaces() {
  try {
    const found = await ask("/v1/namespaces?limit=100");
    const known = new Map([...by("namespaces").children].map(element => [element.dataset.namespace, element]));
    by("namespaces").replaceChildren(...found.namespaces.map(of => known.get(of.namespace) ?? namespace(of)));
    by("namespace-list").replaceChildren(...found.namespaces.map(of => make("option", { value: of.namespace })));
    const none = found.namespaces.length === 0 ? "None yet: the first claim in a namespace makes it." : "";
    by("namespaces-note").textContent = found.next ? "There are more: forename namespace list lists all." : none;
  } catch (error) {
    by("namespaces-note").textContent = error.message;
  }
}

function namespace({ namespace: which, profile, private: isPrivate, rules_set: set }) {
  const rules = make("div");
  const words = [profile, isPrivate && "private", set ? "rules set" : "default rules"].filter(Boolean).join(", ");
  const element = make("details", { "data-namespace": which }, make("summary", {}, foreign(which), make("small", {}, ` ${words}`)), rules);
  element.addEventListener("toggle", async () => {
    if (!element.open) return;
    try {
      put(rules, ruleList(await ask(`/v1/namespaces/${encodeURIComponent(which)}`)));
    } catch (error) {
      put(rules, make("p", { class: "error" }, error.message));
    }
  });
  return element;
}

function ruleList(found) {
  const { namespace: _, ...rules } = found;
  const rows = Object.entries(rules).flatMap(([rule, value]) => {
    const words = Array.isArray(value) ? value.join(", ") || "none" : String(value);
    return [make("dt", {}, rule.replaceAll("_", " ")), make("dd", {}, foreign(words))];
  });
  return make("dl", {}, ...rows);
}

by("conflicts-since").addEventListener("change", showConflicts);
by("conflicts-again").addEventListener("click", showConflicts);
