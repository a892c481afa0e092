// The canvas: lanes, what lasts on them, what happens on them, and what travels between them.
const canvas = by("canvas");
const ctx = canvas.getContext("2d");
const FAULT_ROW = 15,
  AXIS = 28;
let width = 0,
  height = 0,
  pitch = 0,
  top0 = 0,
  colours = {},
  dark = false;
// What can be pointed at, as drawn: points, segments and boxes with what they stand for.
let hits = [];
// What is written in each row, so that no words cover others.
const written = new Map();
const shows = kind => !state.hide.has(kind);
const x = t => ((toPlace(t) - state.from) / (state.to - state.from)) * width;
const lane = host => top0 + host * pitch + pitch * 0.46;
const visible = (a, b) => b >= -40 && a <= width + 40;

function readColours() {
  const probe = document.createElement("i");
  document.body.append(probe);
  for (const name of [
    "page",
    "text",
    "quiet",
    "line",
    "panel",
    "bad",
    "good",
    "warn",
    "ops",
    "faint",
    "water",
    "down",
    "lane",
  ]) {
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  dark = /rgb\((\d+)/.exec(colours.page)[1] < 128;
}

// No reds: those mean that something is wrong.
const hue = index => 40 + ((172 + index * 110.6) % 290);
const shade = index => `hsl(${hue(index)} ${dark ? 75 : 70}% ${dark ? 66 : 38}%)`;
const allKeys = [...new Set(data.registrations.flatMap(r => r.keys))];
const fateColour = { won: "good", lost: "bad", twin: "warn", gone: "down" };
function colourOf(registration) {
  if (!registration) return colours.ops;
  if (state.colour === "fate") return colours[fateColour[registration.fate]];
  if (state.colour === "name") return shade(allKeys.indexOf(registration.keys[0]));
  return shade(registration.index);
}

// The rows of the faults' track: each fault takes the first row that is free.
const faultRows = [];
for (const fault of data.faults) {
  fault.until = Math.min(fault.to, data.end.at);
  const row = faultRows.findIndex(end => end < toPlace(fault.from));
  fault.row = row < 0 ? faultRows.length : row;
  const above = data.faults.findLast(other => other !== fault && other.row === fault.row && other.from <= fault.from);
  if (above) above.next = fault.from;
  faultRows[fault.row] = Math.max(toPlace(fault.until), toPlace(fault.from) + SHORT * 2);
}
const trackRows = Math.min(faultRows.length, 6);

function layOut() {
  const ratio = window.devicePixelRatio || 1;
  top0 = AXIS + (shows("faults") ? trackRows * FAULT_ROW : 0) + 4;
  pitch = Math.max(104, Math.min(150, 560 / hosts));
  height = top0 + hosts * pitch + 4;
  width = Math.max(200, by("picture").clientWidth - by("lanes").offsetWidth);
  canvas.style.height = height + "px";
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
}

function text(
  words,
  at,
  y,
  colour,
  { row, size = 11, bold = false, align = "left", most = Infinity, paper = false } = {},
) {
  ctx.font = `${bold ? "600 " : ""}${size}px system-ui, sans-serif`;
  let wide = ctx.measureText(words).width;
  if (wide > most) {
    words = words.slice(0, Math.max(0, Math.floor((words.length * most) / wide) - 1));
    if (words.length < 4) return false;
    words += "…";
    wide = ctx.measureText(words).width;
  }
  const from = align === "right" ? at - wide : align === "center" ? at - wide / 2 : at;
  if (row) {
    const there = written.get(row) ?? [];
    if (there.some(([a, b]) => from < b + 3 && from + wide > a - 3)) return false;
    there.push([from, from + wide]);
    written.set(row, there);
  }
  if (paper) {
    ctx.fillStyle = colours.panel;
    ctx.fillRect(from - 1, y - size / 2 - 1, wide + 2, size + 2);
  }
  ctx.fillStyle = colour;
  ctx.textBaseline = "middle";
  ctx.fillText(words, from, y);
  return true;
}

function line(x1, y1, x2, y2, colour, wide = 1, dash = []) {
  ctx.strokeStyle = colour;
  ctx.lineWidth = wide;
  ctx.setLineDash(dash);
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
  ctx.setLineDash([]);
}

function hatch(x1, y1, w, h, colour, alpha = 0.5, step = 7) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(x1, y1, w, h);
  ctx.clip();
  ctx.globalAlpha *= alpha;
  ctx.fillStyle = ctx.strokeStyle = colour;
  ctx.lineWidth = 1;
  ctx.beginPath();
  const [begin, end] = [Math.max(x1, -20), Math.min(x1 + w, width + 20)];
  for (let at = begin - ((begin - x1) % step) - h; at < end; at += step) {
    ctx.moveTo(at, y1 + h);
    ctx.lineTo(at + h, y1);
  }
  ctx.stroke();
  ctx.globalAlpha *= 0.3;
  ctx.fillRect(x1, y1, w, h);
  ctx.restore();
}

function cross(at, y, size, colour, wide = 2) {
  line(at - size, y - size, at + size, y + size, colour, wide);
  line(at - size, y + size, at + size, y - size, colour, wide);
}
const point = (at, y, item) => hits.push({ at, y, item });
const box = (x1, y1, w, h, item) => hits.push({ x1, y1, w, h, item });
const dim = registration => {
  ctx.globalAlpha = matches(registration) ? 1 : 0.13;
};

function drawAxis() {
  let before = -1e9;
  for (let at = 24; at < width; at += 8) {
    if (at < before + 78) continue;
    const [low, high] = [
      toTime(state.from + ((at - 6) / width) * (state.to - state.from)),
      toTime(state.from + ((at + 6) / width) * (state.to - state.from)),
    ];
    const step = 10 ** Math.floor(Math.log10(Math.max(high - low, 1)));
    const t = Math.round((low + high) / 2 / step) * step;
    if (t < 0 || t > data.end.at) continue;
    line(x(t), AXIS - 12, x(t), height, colours.line, 0.5);
    const digits = step >= 1e6 ? 0 : step >= 1e5 ? 1 : step >= 1e4 ? 2 : step >= 1000 ? 3 : step >= 100 ? 4 : 5;
    text((t / 1e6).toFixed(digits) + " s", x(t), 8, colours.quiet, { align: "center" });
    before = x(t);
  }
  if (!state.squeeze) return;
  for (let i = 1; i < knots.length; i++) {
    const [a, b] = [x(knots[i - 1]), x(knots[i])];
    if (knots[i] - knots[i - 1] < SHORT * 4 || b - a < 5 || !visible(a, b)) continue;
    line(a, AXIS - 14, b, AXIS - 14, colours.quiet, 2, [1, 3]);
    if (b - a > 56)
      text(span(knots[i] - knots[i - 1]) + " idle", (a + b) / 2, AXIS - 6, colours.quiet, {
        align: "center",
        size: 9.5,
        row: "gap",
      });
    box(a, AXIS - 17, b - a, 16, () => `${span(knots[i] - knots[i - 1])} in which only heartbeats pass, drawn short`);
  }
}

function drawFaults() {
  for (const fault of data.faults) {
    if (fault.row >= trackRows) continue;
    const [a, b] = [x(fault.from), Math.max(x(fault.until), x(fault.from) + 4)];
    if (!visible(a, b)) continue;
    const y = AXIS + 8 + fault.row * FAULT_ROW - 6;
    ctx.globalAlpha = 0.22;
    ctx.fillStyle = fault.severed.length ? colours.bad : colours.warn;
    ctx.fillRect(a, y, b - a, FAULT_ROW - 2);
    ctx.globalAlpha = 1;
    ctx.fillRect(a, y, 2, FAULT_ROW - 2);
    text(fault.text, Math.max(a, 0) + 5, y + 6.5, colours.text, {
      size: 11,
      most: (fault.next === undefined ? width : x(fault.next)) - Math.max(a, 0) - 8,
    });
    box(
      a,
      y,
      b - a,
      FAULT_ROW,
      () =>
        `${clockText(fault.from)}: ${fault.text}` +
        (fault.until > fault.from ? `\nfor ${span(fault.until - fault.from)}, until ${clockText(fault.until)}` : ""),
    );
  }
}

// Between neighbours a wall where nothing passes; on each lane whom it is cut off from.
function drawCuts() {
  for (const fault of data.faults.filter(fault => fault.severed.length)) {
    const [a, b] = [x(fault.from), x(fault.until)];
    if (!visible(a, b)) continue;
    const cut = (from, to) => fault.severed.some(([f, t]) => f === from && t === to);
    for (let host = 0; host < hosts; host++) {
      const deaf = [],
        mute = [];
      for (let other = 0; other < hosts; other++) {
        if (cut(other, host)) deaf.push(other);
        if (cut(host, other)) mute.push(other);
      }
      if (host + 1 < hosts && (cut(host, host + 1) || cut(host + 1, host)))
        hatch(a, top0 + (host + 1) * pitch - 5, b - a, 7, colours.bad, 0.85, 6);
      if (!deaf.length && !mute.length) continue;
      const both = deaf.join() === mute.join();
      const words = both
        ? `cut off from ${deaf.join(", ")}`
        : [deaf.length && `hears nothing from ${deaf.join(", ")}`, mute.length && `is not heard by ${mute.join(", ")}`]
            .filter(Boolean)
            .join(", ");
      const y = top0 + host * pitch + 2;
      ctx.globalAlpha = 0.75;
      line(Math.max(a, -9), y, Math.min(b, width + 9), y, colours.bad, 2.5, both ? [] : [7, 4]);
      if (b - a > 40) text("✂ " + words, Math.max(a, 0) + 3, y + 7.5, colours.bad, { row: "cut" + host, size: 10 });
      ctx.globalAlpha = 1;
      box(
        a,
        y - 4,
        b - a,
        14,
        () => `host ${host} ${words}\n${fault.text}\n${clockText(fault.from)} to ${clockText(fault.until)}`,
      );
    }
  }
}

function drawLanes() {
  for (let host = 0; host < hosts; host++) {
    ctx.fillStyle = colours.lane;
    if (host % 2) ctx.fillRect(0, top0 + host * pitch, width, pitch);
    line(0, lane(host), Math.min(width, x(data.end.at)), lane(host), colours.quiet, 1.2);
  }
  const colour = { down: "down", pause: "warn", disk: "warn" };
  for (const band of shows("faults") ? data.bands : data.bands.filter(band => band.kind === "down")) {
    const [a, b] = [x(band.from), Math.max(x(band.to), x(band.from) + 2)];
    if (!visible(a, b)) continue;
    const y = lane(band.host);
    if (band.kind === "disk") hatch(a, y + 3, b - a, 6, colours.warn, 0.8, 4);
    else hatch(a, y - 11, b - a, 22, colours[colour[band.kind]], 0.9);
    if (b - a > 50)
      text(
        band.kind === "down" ? band.text : band.kind === "pause" ? "stands still" : "slow disk",
        Math.max(a, 0) + 5,
        y - (band.kind === "disk" ? 8 : 0),
        colours[colour[band.kind]],
        { row: "band" + band.host, bold: true, paper: true },
      );
    box(
      a,
      y - 11,
      b - a,
      22,
      () =>
        `host ${band.host}: ${band.text}\n${clockText(band.from)} to ${clockText(band.to)}, ${span(band.to - band.from)}`,
    );
  }
}

// How far the watermark is behind virtual time, and where it passes each registration.
function drawWatermarks() {
  for (let host = 0; host < hosts; host++) {
    const [base, high] = [top0 + (host + 1) * pitch - 8, pitch * 0.2];
    const steps = data.watermarks[host];
    const [start, end] = [toTime(state.from), Math.min(toTime(state.to), data.end.at)];
    const first = Math.max(
      0,
      steps.findLastIndex(([at]) => at <= start),
    );
    let most = 20000;
    const shown = [];
    for (let i = first; i < steps.length && steps[i][0] <= end; i++) {
      const [at, clock] = steps[i];
      if (clock === null || clock < -1e12) continue;
      const until = i + 1 < steps.length ? steps[i + 1][0] : data.end.at;
      shown.push([Math.max(at, start), Math.min(until, end), clock]);
      most = Math.max(most, Math.min(until, end) - clock);
    }
    const y = lag => base - Math.sqrt(Math.max(0, lag) / most) * high;
    ctx.beginPath();
    for (const [a, b, clock] of shown) {
      ctx.moveTo(x(a), base);
      ctx.lineTo(x(a), y(a - clock));
      const middle = (a + b) / 2;
      ctx.lineTo(x(middle), y(middle - clock));
      ctx.lineTo(x(b), y(b - clock));
      ctx.lineTo(x(b), base);
      if (x(b) - x(a) > 1) box(x(a), base - high, x(b) - x(a), high + 4, () => watermarkWords(host, a, clock));
    }
    ctx.globalAlpha = 0.22;
    ctx.fillStyle = colours.water;
    ctx.fill();
    ctx.globalAlpha = 0.8;
    ctx.strokeStyle = colours.water;
    ctx.lineWidth = 0.8;
    ctx.stroke();
    ctx.globalAlpha = 1;
    rows[host].textContent = shown.length === 0 ? "" : "lag ≤ " + span(Math.round(most / 1000) * 1000);
    drawPassing(host, base);
  }
}

const passing = data.watermarks.map(steps =>
  data.registrations.map(r => {
    const clock = opOf.get(r.stamp).clock;
    const step = steps.find(([, reached]) => reached !== null && reached >= clock);
    return step && step[0];
  }),
);
function drawPassing(host, base) {
  data.registrations.forEach((r, index) => {
    const t = passing[host][index];
    if (t === undefined || !visible(x(t), x(t))) return;
    dim(r);
    ctx.fillStyle = colourOf(r);
    ctx.beginPath();
    ctx.moveTo(x(t), base - 5);
    ctx.lineTo(x(t) + 4, base + 2);
    ctx.lineTo(x(t) - 4, base + 2);
    ctx.fill();
    text("≥" + r.label, x(t) + 5, base - 3, colourOf(r), { row: "pass" + host, size: 9.5 });
    point(
      x(t),
      base - 2,
      () =>
        `${clockText(t)} host ${host}: its watermark passes ${registrationWords(r)}\nnothing earlier can turn up here any more`,
    );
    ctx.globalAlpha = 1;
  });
}
