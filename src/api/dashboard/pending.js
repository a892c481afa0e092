// What is not decided yet, oldest first, and how far the watermark is behind.
import { by, chip, draw, foreign, make, put } from "./dom.js";
import { ask } from "./node.js";
import { labelOf, millis, nameLink, ofTimestamp, registrationLink, span, waits } from "./words.js";

/** Of so many the node is asked whom they wait for, each time. */
const ASKED = 6;
const SHOWN = 30;
/** More are not kept: the latest are left out. */
const KEPT = 2000;
/** Of the lag so many samples are drawn, one each two seconds: five minutes. */
const SAMPLES = 150;

/** Registrations that are accepted and of whose outcome this page has not heard, by id. */
const open = new Map();
const samples = [];

const DECIDED = new Set(["confirmed", "rejected"]);

export function takePending(event) {
  const { registration } = event.data;
  const kind = event.type.replace("forename.registration.", "");
  if (DECIDED.has(kind)) open.delete(registration.id);
  else if ((kind === "accepted" || kind === "contested") && (open.has(registration.id) || open.size < KEPT)) {
    open.set(registration.id, { ...registration, status: kind === "contested" ? "contested" : "pending" });
  }
}

export async function showPending(cluster) {
  const now = millis(cluster.time);
  const watermark = ofTimestamp(cluster.watermark);
  if (watermark > 0) showLag(now - watermark);
  by("pending-count").textContent = `${cluster.pending}`;
  if (cluster.pending === 0) open.clear();
  const oldest = [...open.values()].sort((a, b) => (a.accepted_at < b.accepted_at ? -1 : 1));
  const asked = await Promise.allSettled(oldest.slice(0, ASKED).map(({ id }) => ask(`/v1/registrations/${id}`)));
  for (const { value } of asked) {
    if (!value || !open.has(value.id)) continue;
    if (DECIDED.has(value.status)) open.delete(value.id);
    else open.set(value.id, value);
  }
  const shown = oldest.map(({ id }) => open.get(id)).filter(Boolean);
  put(by("pending"), shown.slice(0, SHOWN).map(registration => row(registration, now)));
  by("pending-note").textContent = note(cluster, shown.length, now);
}

function row(registration, now) {
  const names = registration.names?.flatMap((name, index) => [index ? ", " : null, nameLink(name.namespace, name.name, name.key)]);
  const waiting = registration.waiting_for ?? [];
  return make(
    "li",
    { class: registration.status, "data-registration": registration.id },
    make("span", { class: "age" }, span(now - millis(registration.accepted_at))),
    chip(registration.status),
    make("span", {}, ...(names ?? [])),
    make("span", { class: "quiet" }, "for ", foreign(registration.owner ?? ""), ` at ${labelOf(registration.node)}`),
    registrationLink(registration.id),
    waiting.length > 0 && make("span", { class: "more" }, `waits for ${waiting.map(of => waits(of, now)).join(", ")}`),
  );
}

function note(cluster, known, now) {
  if (cluster.pending === 0) return "Nothing waits for its outcome.";
  const whom = cluster.waiting_for.map(of => waits(of, now)).join(", ");
  const oldest = whom && known === 0 ? `The oldest waits for ${whom}. ` : "";
  const more = cluster.pending - Math.min(known, SHOWN);
  return oldest + (more > 0 ? `${more} more are not listed here.` : "");
}

function showLag(lag) {
  samples.push(Math.max(0, lag));
  if (samples.length > SAMPLES) samples.shift();
  const most = Math.max(...samples);
  // Small lags look small: a scale that follows them would make hills of nothing.
  const top = Math.max(2000, most * 1.1);
  const x = index => ((index + SAMPLES - samples.length) / (SAMPLES - 1)) * 300;
  const y = value => 50 - (value / top) * 46;
  const points = samples.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`);
  const area = [`${x(0).toFixed(1)},50`, ...points, "300,50"];
  const words = `watermark ${span(lag)} behind, at most ${span(most)} in the last ${span(samples.length * 2000)}`;
  const spark = draw(
    "svg",
    { class: lag > 5000 ? "spark high" : "spark", viewBox: "0 0 300 52", preserveAspectRatio: "none", role: "img", "aria-label": words },
    draw("polygon", { points: area.join(" ") }),
    draw("polyline", { points: points.join(" ") }),
  );
  by("lag").replaceChildren(make("p", { class: "quiet" }, words), spark);
}
