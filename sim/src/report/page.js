// Controls: zoom, pan, filters, what is pointed at. The state stands in the address after the `#`.
const rows = data.hosts.map((host, index) => {
  const label = element("div", undefined, "lane" + (named.hosts.has(index) ? " named" : ""));
  label.dataset.host = index;
  label.append(element("b", `host ${index}`));
  const clock = [
    host.offset && `clock ${host.offset > 0 ? "+" : "−"}${Math.abs(host.offset)} ms`,
    host.drift && `drift ${host.drift} ppm`,
  ].filter(Boolean);
  for (const words of clock.length ? clock : ["right clock"]) label.append(element("small", words));
  if (host.sponsor !== null) label.append(element("small", `joins by host ${host.sponsor}`));
  by("lanes").append(label);
  const row = element("div", "", "row");
  by("lanes").append(row);
  return row;
});

const KINDS = [
  ["ops", "ops", "——"],
  ["faint", "heartbeats", "┈┈"],
  ["clients", "clients", "▼▲"],
  ["events", "outcomes", "✓✗"],
  ["accepted", "accepted", "·"],
  ["watermarks", "watermarks", "▲"],
  ["faults", "faults", "✂"],
  ["membership", "membership", "■"],
  ["connected", "connections", "⌁"],
];
for (const [kind, words] of KINDS) {
  const label = element("label");
  const box = element("input");
  box.type = "checkbox";
  box.id = "show-" + kind;
  box.onchange = () => {
    state.hide[box.checked ? "delete" : "add"](kind);
    update();
  };
  label.append(box, " " + words);
  by("kinds").append(label);
}
by("names").append(
  ...allKeys.sort().map(key => {
    const option = element("option");
    option.value = key;
    return option;
  }),
);

function writeLegend() {
  const signs = [
    ["◆", "a claim is issued"],
    ["■", "another op is issued"],
    ["○", "a node learns of it; the thick line lasts until its fsync"],
    ["✓", "its feed says confirmed"],
    ["✗", "rejected"],
    ["!", "contested"],
    ["▼", "a client asks"],
    ["▲", "is told"],
    ["╲", "ops on their way"],
    ["┈", "heartbeats: acknowledgements and promises"],
    ["×", "lost"],
    ["≥R1", "the watermark passes R1: nothing earlier can turn up; the blue hill is how far it is behind"],
    ["╱╱", "grey: the process is down, yellow: it stands still, red between lanes: cut"],
  ];
  for (const [sign, words] of signs) {
    const item = element("span");
    item.append(element("i", sign), words);
    by("legend").append(item, " ");
  }
  if (data.faint_left_out) {
    by("left-out").hidden = false;
    by("left-out").textContent =
      `${data.faint_left_out} heartbeats that are far from any op are left out, so that the page stays small.`;
  }
}

let planned = false;
function update() {
  const least = 200;
  if (state.to - state.from < least) state.to = state.from + least;
  const wide = Math.min(state.to - state.from, last() * 1.2 + least);
  state.from = Math.min(Math.max(state.from, -wide * 0.1), last() - wide * 0.1);
  state.to = state.from + wide;
  if (!planned) {
    planned = true;
    requestAnimationFrame(() => {
      planned = false;
      show();
    });
  }
}
function show() {
  draw();
  document.querySelectorAll(".lane").forEach((label, host) => {
    label.style.top = top0 + host * pitch + pitch * 0.28 + "px";
  });
  rows.forEach((row, host) => {
    row.style.top = top0 + (host + 1) * pitch - 22 + "px";
  });
  for (const [kind] of KINDS) by("show-" + kind).checked = shows(kind);
  remember();
}
function remember() {
  const hash = new URLSearchParams({
    from: Math.round(toTime(state.from) / 10) / 100,
    to: Math.round(toTime(state.to) / 10) / 100,
  });
  if (state.name) hash.set("name", state.name);
  if (state.hide.size) hash.set("hide", [...state.hide].join(" "));
  if (!state.squeeze) hash.set("squeeze", "no");
  hash.set("colour", state.colour);
  if (document.documentElement.dataset.theme) hash.set("theme", document.documentElement.dataset.theme);
  try {
    history.replaceState(null, "", "#" + hash);
  } catch {
    /* where the address may not change, it does not */
  }
}
function recall() {
  const hash = new URLSearchParams(location.hash.slice(1));
  if (hash.get("theme")) document.documentElement.dataset.theme = hash.get("theme");
  readColours();
  state.colour =
    hash.get("colour") || (data.registrations.length > 12 && (unbound || related.size > 8) ? "name" : "registration");
  state.squeeze = hash.get("squeeze") !== "no";
  const [from, to] = focusSpan();
  [state.from, state.to] = [from, to];
  const inView = data.letters.filter(l => l.kind !== "ops" && toPlace(l.at) >= from && toPlace(l.at) <= to).length;
  state.hide = new Set(
    (hash.get("hide") ?? `accepted connected${inView > 500 ? " faint" : ""}`).split(/[ ,]+/).filter(Boolean),
  );
  // Among many registrations those that the violation names stand out.
  const crowd = data.registrations.length > 6 && related.size && related.size < data.registrations.length;
  state.name = hash.get("name") ?? (crowd ? [...related].map(r => r.label).join(" ") : "");
  if (hash.get("from")) state.from = toPlace(+hash.get("from") * 1000);
  if (hash.get("to")) state.to = toPlace(+hash.get("to") * 1000);
  by("name").value = state.name;
  by("colour").value = state.colour;
  by("squeeze").checked = state.squeeze;
}

function zoom(factor, at = width / 2) {
  const place = state.from + (at / width) * (state.to - state.from);
  state.from = place - (place - state.from) * factor;
  state.to = place + (state.to - place) * factor;
  update();
}
function move(part) {
  const by = (state.to - state.from) * part;
  state.from += by;
  state.to += by;
  update();
}
function centre(t, host = null) {
  const half = (state.to - state.from) / 2;
  [state.from, state.to] = [toPlace(t) - half, toPlace(t) + half];
  update();
  requestAnimationFrame(() => requestAnimationFrame(() => flash(t, host)));
}
function flash(t, host) {
  ctx.globalAlpha = 0.5;
  if (host === null) line(x(t), 0, x(t), height, colours.water, 6);
  else {
    ctx.strokeStyle = colours.water;
    ctx.lineWidth = 4;
    ctx.beginPath();
    ctx.arc(x(t), lane(host), 18, 0, 7);
    ctx.stroke();
  }
  ctx.globalAlpha = 1;
}
function whole() {
  state.from = -last() * 0.02;
  state.to = last() * 1.06;
  update();
}
function focusOn() {
  [state.from, state.to] = focusSpan();
  update();
}

// From event to event by keyboard: the notable ones, read out.
const notable = () => storyOf().filter(line => line.at <= data.end.at + 1);
let current = null;
function step(direction) {
  const story = notable();
  if (!story.length) return;
  current =
    current === null
      ? direction > 0
        ? 0
        : story.length - 1
      : Math.min(Math.max(current + direction, 0), story.length - 1);
  const { at, host, words } = story[current];
  centre(Math.min(at, data.end.at), host);
  const box = canvas.getBoundingClientRect();
  tip(
    `${clockText(Math.min(at, data.end.at))}${host === null ? "" : ` host ${host}`}: ${words}`,
    box.left + box.width / 2,
    box.top + (host === null ? 40 : lane(host)),
  );
}

function nearest(px, py) {
  let best = null,
    least = Infinity;
  for (const hit of hits) {
    let far;
    if (hit.at !== undefined) {
      far = Math.hypot(hit.at - px, hit.y - py);
      if (far > 10) continue;
    } else if (hit.x2 !== undefined) {
      far = (hit.faint ? 24 : 20) + 1.5 * toSegment(px, py, hit);
      if (far > (hit.faint ? 30 : 31)) continue;
    } else {
      if (px < hit.x1 || px > hit.x1 + hit.w || py < hit.y1 || py > hit.y1 + hit.h) continue;
      far = 40;
    }
    if (far <= least) {
      least = far;
      best = hit;
    }
  }
  return best;
}
function toSegment(px, py, { x1, y1, x2, y2 }) {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const part = Math.min(1, Math.max(0, ((px - x1) * dx + (py - y1) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(px - x1 - part * dx, py - y1 - part * dy);
}
let pinned = false;
function tip(words, left, top) {
  const box = by("tip");
  box.hidden = !words;
  if (!words) return;
  box.textContent = words;
  box.style.left = Math.max(4, Math.min(left + 14, innerWidth - box.offsetWidth - 8)) + "px";
  box.style.top =
    (top + 16 + box.offsetHeight > innerHeight ? Math.max(4, top - box.offsetHeight - 10) : top + 16) + "px";
}
function pin(on) {
  pinned = on;
  by("tip").classList.toggle("pinned", on);
}

let drag = null;
canvas.onpointerdown = event => {
  drag = { x: event.clientX, from: state.from, to: state.to, moved: false };
  canvas.setPointerCapture(event.pointerId);
  canvas.classList.add("drag");
};
canvas.onpointermove = event => {
  if (drag) {
    const by = ((drag.x - event.clientX) / width) * (drag.to - drag.from);
    if (Math.abs(drag.x - event.clientX) > 3) drag.moved = true;
    if (drag.moved) {
      [state.from, state.to] = [drag.from + by, drag.to + by];
      update();
    }
    return;
  }
  if (pinned) return;
  const hit = nearest(event.offsetX, event.offsetY);
  canvas.style.cursor = hit ? "pointer" : "";
  tip(hit ? hit.item() : "", event.clientX, event.clientY);
};
canvas.onpointerup = event => {
  canvas.classList.remove("drag");
  if (drag && !drag.moved) {
    const hit = nearest(event.offsetX, event.offsetY);
    pin(!!hit);
    tip(hit ? hit.item() : "", event.clientX, event.clientY);
  }
  drag = null;
};
canvas.onpointerleave = () => {
  if (!pinned) tip("");
};
canvas.addEventListener(
  "wheel",
  event => {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) move(event.deltaX / width);
    else if (event.shiftKey) move(event.deltaY / width);
    else zoom(Math.exp(event.deltaY * 0.0015), event.offsetX);
  },
  { passive: false },
);

const KEYS = {
  "+": () => zoom(0.7),
  "=": () => zoom(0.7),
  "-": () => zoom(1.4),
  ArrowLeft: () => move(-0.15),
  ArrowRight: () => move(0.15),
  0: whole,
  f: focusOn,
  n: () => step(1),
  p: () => step(-1),
  Escape: () => {
    pin(false);
    tip("");
  },
};
document.addEventListener("keydown", event => {
  if (
    (event.target.matches("input, select, summary, pre") && event.key !== "Escape") ||
    event.ctrlKey ||
    event.metaKey ||
    event.altKey
  )
    return;
  if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});
const CLICKS = {
  focus: focusOn,
  all: whole,
  in: () => zoom(0.6),
  out: () => zoom(1.6),
  back: () => move(-0.3),
  on: () => move(0.3),
  previous: () => step(-1),
  next: () => step(1),
};
for (const [id, act] of Object.entries(CLICKS)) by(id).onclick = act;
by("name").oninput = () => {
  state.name = by("name").value;
  writeStory();
  current = null;
  update();
};
by("colour").onchange = () => {
  state.colour = by("colour").value;
  update();
};
by("squeeze").onchange = () => {
  const times = [toTime(state.from), toTime(state.to)];
  state.squeeze = by("squeeze").checked;
  [state.from, state.to] = times.map(toPlace);
  update();
};
by("theme").onclick = () => {
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  readColours();
  update();
};
by("copy").onclick = () => navigator.clipboard && navigator.clipboard.writeText(by("command").textContent);
by("save").onclick = () => {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(data.plan, null, 2)], { type: "application/json" }));
  link.download = "plan.json";
  link.click();
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  update();
});
window.addEventListener("resize", update);

recall();
writeHead();
writeLegend();
writeStory();
writeRegistrations();
show();
document.documentElement.dataset.ready = "yes";
