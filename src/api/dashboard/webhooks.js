// The webhooks, and how the deliveries of this node stand. Only administrators may see them.
import { by, chip, foreign, make, put } from "./dom.js";
import { ask, may } from "./node.js";
import { clock } from "./words.js";

/** How often they are asked for, in milliseconds. */
const LOOK = 10000;
let lookedAt = 0;

/** Shows the webhooks, where there are any. */
export async function showWebhooks() {
  if (!may.has("admin") || Date.now() - lookedAt < LOOK) return;
  lookedAt = Date.now();
  try {
    const { webhooks } = await ask("/v1/webhooks");
    by("webhooks-part").hidden = by("webhooks-link").hidden = webhooks.length === 0;
    put(by("webhooks"), webhooks.map(webhook));
    by("webhooks-note").textContent = "";
  } catch (error) {
    by("webhooks-note").textContent = error.message;
  }
}

function webhook({ id, url, active, delivery }) {
  const { lag_events: lag = 0, waiting = 0, dead = 0, delivered = 0, last_error: error, last_error_at: at, missed } = delivery ?? {};
  const state = !active ? "stopped" : error || dead || missed ? "contested" : "confirmed";
  const word = !active ? "stopped" : error ? "fails" : dead ? "dead letters" : missed ? "missed events" : "delivers";
  return make(
    "li",
    { "data-webhook": id },
    foreign(url),
    " ",
    chip(state, word),
    make("span", { class: "more" }, `${delivered} delivered, ${lag} behind, ${waiting} waiting, ${dead} dead letters`),
    error && make("span", { class: "more" }, foreign(error), " ", at && clock(at)),
    missed && make("span", { class: "more" }, `missed from ${missed.after} to ${missed.until}`),
  );
}
