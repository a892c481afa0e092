// The members as cards, newcomers, and the eviction of a member behind its typed label.
import { by, chip, foreign, make, put } from "./dom.js";
import { may, tell } from "./node.js";
import { millis, span } from "./words.js";

const cards = new Map();

export function showMembers(cluster) {
  // The node itself comes first.
  const members = [...cluster.members].sort((a, b) => (b.node === cluster.node) - (a.node === cluster.node));
  by("members-count").textContent = `${members.length}`;
  for (const member of members) {
    if (!cards.has(member.node)) cards.set(member.node, card(member));
    cards.get(member.node).show(member, cluster);
  }
  for (const [node, { element }] of cards) {
    if (members.some(member => member.node === node)) continue;
    element.remove();
    cards.delete(node);
  }
  const wanted = members.map(member => cards.get(member.node).element);
  wanted.forEach((element, index) => {
    if (by("members").children[index] !== element) by("members").insertBefore(element, by("members").children[index] ?? null);
  });
  put(by("newcomers"), (cluster.newcomers ?? []).map(newcomer));
}

function newcomer({ label, node, address, waits_for: waits }) {
  const why = waits.map(hindrance => hindrance.why).join("; ");
  return make("p", { class: "panel" }, "waits to be let in: ", foreign(label || node), ` at ${address}`, why && ` – ${why}`);
}

/** How the node reaches a member, as a state and in words. */
function reach(member, cluster) {
  if (member.node === cluster.node) return ["connected", "this node"];
  const troubles = (cluster.health?.troubles ?? []).filter(({ nodes }) => nodes?.includes(member.node));
  const is = code => troubles.some(trouble => trouble.code === code);
  if (member.state === "evicting") return ["lost", "being evicted"];
  if (!member.connected) return ["lost", "not connected"];
  if (is("silent")) return ["silent", "silent"];
  if (is("skewed") || is("refuses-ours")) return ["silent", "clock off"];
  return member.state === "leaving" ? ["silent", "leaving"] : ["connected", "connected"];
}

function card(member) {
  const element = make("article", { class: "card", "data-node": member.node });
  const head = make("header");
  const facts = make("dl");
  const evict = evictForm(member);
  element.append(head, facts, evict.element);
  const show = (seen, cluster) => {
    const [state, words] = reach(seen, cluster);
    element.className = `card ${{ lost: "bad", silent: "warn" }[state] ?? ""}`;
    element.dataset.state = state;
    put(head, make("h3", {}, foreign(seen.label || seen.node)), chip(state, words));
    put(facts, figures(seen, cluster));
    evict.show(seen, cluster);
  };
  return { element, show };
}

function figures(member, cluster) {
  const own = member.node === cluster.node;
  const us = cluster.members.find(({ node }) => node === cluster.node);
  const behind = Math.max(0, (us?.applied ?? 0) - member.holds_ours);
  const rows = [
    ["node", make("code", {}, member.node)],
    ["address", foreign(member.address)],
    ["wire", member.wire ?? "–"],
    ["heard of", own ? "–" : member.heard_at ? `${span(millis(cluster.time) - millis(member.heard_at))} ago` : "never"],
    ["lag", own ? "–" : behind ? `lacks ${behind} of our ops` : "holds all our ops"],
    ["clock", own ? "–" : offset(member.clock_offset_ms)],
  ];
  return rows.flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]);
}

const offset = ms => (ms === undefined || ms === null ? "–" : `${ms >= 0 ? "+" : "−"}${Math.abs(ms)} ms`);

/** Evicting cannot be taken back, so whoever does it types whom. */
function evictForm(member) {
  const { node } = member;
  const word = member.label || node;
  const said = make("p", { class: "error", role: "alert", hidden: true });
  const typed = make("input", { "aria-label": `type ${word} to evict it`, autocomplete: "off", spellcheck: "false", size: "12" });
  const go = make("button", { class: "danger", disabled: true }, "evict for good");
  const open = make("button", { type: "button" }, "evict…");
  const cancel = make("button", { type: "button" }, "cancel");
  const form = make("form", { hidden: true }, make("span", {}, "Type ", make("b", {}, foreign(word)), ":"), typed, go, cancel);
  const toggle = opened => {
    form.hidden = !opened;
    open.hidden = opened;
    typed.value = "";
    go.disabled = true;
    if (opened) typed.focus();
  };
  open.addEventListener("click", () => toggle(true));
  cancel.addEventListener("click", () => toggle(false));
  typed.addEventListener("input", () => (go.disabled = typed.value !== word));
  form.addEventListener("submit", async event => {
    event.preventDefault();
    if (typed.value !== word) return;
    go.disabled = true;
    try {
      await tell(`/v1/cluster/members/${encodeURIComponent(node)}/evict`);
      said.hidden = true;
    } catch (error) {
      said.textContent = error.message;
      said.hidden = false;
    }
    toggle(false);
  });
  const element = make("div", { class: "evict" }, open, form, said);
  const show = (seen, cluster) => (element.hidden = !may.has("admin") || seen.node === cluster.node || seen.state === "evicting");
  return { element, show };
}
