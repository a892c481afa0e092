// The canvas, continued: messages, and what happens on lanes.

// Where the violation's text names a timestamp: the first messages that told it to a host it names, and from one.
const telling = new Set();
for (const hlc of named.hlcs)
  for (const host of named.hosts)
    for (const end of ["from", "to"]) {
      const letter = data.letters.find(
        l =>
          l.kind === "vector" &&
          !l.stopped &&
          l[end] === host &&
          (end === "from" || (l.arrives !== null && !l.died)) &&
          l.text.includes("@" + hlc),
      );
      if (letter) telling.add(letter);
    }
const isMembership = op => op.kind === "admit" || op.kind === "welcome";
// Whether so few ops travel in the view that each line can have its words.
let roomy = true;

function drawLetters(prominent) {
  const travels = l => l.kind === "ops" && visible(x(l.at), x(l.arrives ?? l.at));
  roomy = data.letters.filter(travels).length < 60;
  for (const letter of data.letters) {
    const told = telling.has(letter);
    const ops = letter.kind === "ops" || letter.stopped || told;
    if (ops !== prominent || (!shows(ops ? "ops" : "faint") && !letter.stopped)) continue;
    const membership = letter.about.length > 0 && letter.about.every(isMembership);
    if (membership && !shows("membership")) continue;
    const lost = letter.arrives === null || letter.died;
    const until = letter.arrives ?? letter.at + data.plan.links.least;
    const [a, b] = [x(letter.at), x(until)];
    if (!visible(a, b)) continue;
    const [y1, y2] = [lane(letter.from), lane(letter.to)];
    const part = letter.stopped ? 0.3 : letter.arrives === null ? 0.55 : 1;
    const [x2, y3] = [a + (b - a) * part, y1 + (y2 - y1) * part];
    const registrations = [...new Set(letter.about.map(op => op.registration).filter(Boolean))];
    const single = registrations.length === 1 ? registrations[0] : null;
    const concerns = letter.about.length ? letter.about.some(op => matches(op.registration)) : !state.name.trim();
    const colour = letter.stopped || told ? colours.bad : ops ? colourOf(single) : colours.faint;
    ctx.globalAlpha =
      letter.stopped || told ? 1 : ops ? (!concerns ? 0.1 : membership ? 0.4 : 0.95) : concerns ? 0.3 : 0.12;
    line(a, y1, x2, y3, colour, letter.stopped ? 3 : membership ? 1 : ops ? 1.7 : 0.8, ops || !lost ? [] : [3, 3]);
    if (lost) cross(x2, y3, ops ? 5 : 3, colours.bad, ops ? 2.2 : 1);
    else if (ops) arrow(a, y1, x2, y3, colour);
    hits.push({ x1: a, y1, x2, y2: y3, faint: !ops, item: () => letterWords(letter) });
    if (letter.stopped)
      text(stoppedWords(letter), a > width - 400 ? a - 12 : a + 12, y1, colours.bad, {
        bold: true,
        size: 12,
        paper: true,
        align: a > width - 400 ? "right" : "left",
      });
    else if (ops && lost && concerns && roomy)
      text(`lost on its way to host ${letter.to}`, x2 + 9, y3, colours.bad, {
        size: 10.5,
        row: "lost" + Math.round(y3 / 14),
        paper: true,
      });
    if (ops && !letter.stopped && (concerns || told) && (roomy || (!membership && x2 - a > 30)))
      letterLabel(letter, a, y1, x2, y3, colour);
    ctx.globalAlpha = 1;
  }
}

function arrow(x1, y1, x2, y2, colour) {
  const turn = Math.atan2(y2 - y1, x2 - x1);
  ctx.fillStyle = colour;
  ctx.beginPath();
  ctx.moveTo(x2, y2);
  for (const side of [-0.35, 0.35]) ctx.lineTo(x2 - 9 * Math.cos(turn + side), y2 - 9 * Math.sin(turn + side));
  ctx.fill();
}

// A message's words near its sender, where nothing else is written.
let taken = new Set();
function letterLabel(letter, x1, y1, x2, y2, colour) {
  const promise = [...named.hlcs].find(hlc => letter.text.includes("@" + hlc));
  const words = telling.has(letter)
    ? `promise ${promise}`
    : letter.about.length > 2
      ? `${letter.about.length} ops`
      : letter.about
          .map(op => (op.registration && op.kind === "register" ? op.registration.label : op.short))
          .join(", ");
  for (const part of [0.32, 0.5, 0.68, 0.85]) {
    const [at, y] = [x1 + (x2 - x1) * part, y1 + (y2 - y1) * part];
    ctx.font = "600 10.5px system-ui, sans-serif";
    const wide = ctx.measureText(words).width;
    const cells = [];
    for (let cell = Math.floor((at - wide / 2) / 12); cell <= (at + wide / 2) / 12; cell++)
      cells.push(`${cell},${Math.round(y / 14)}`);
    if (at < 0 || at > width || cells.some(cell => taken.has(cell))) continue;
    cells.forEach(cell => taken.add(cell));
    ctx.fillStyle = colours.panel;
    ctx.globalAlpha = 0.85;
    ctx.fillRect(at - wide / 2 - 2, y - 7, wide + 4, 14);
    ctx.globalAlpha = 1;
    text(words, at, y, colour, { align: "center", size: 10.5, bold: true });
    return;
  }
}

function halo(at, y, size) {
  ctx.strokeStyle = colours.bad;
  ctx.lineWidth = 2.5;
  ctx.beginPath();
  ctx.arc(at, y, size, 0, 7);
  ctx.stroke();
}

function drawOps() {
  for (const op of data.ops) {
    const membership = isMembership(op);
    if (membership && !shows("membership")) continue;
    dim(op.registration);
    if (membership) ctx.globalAlpha = state.name.trim() ? 0.13 : 0.7;
    op.takes.forEach((take, index) =>
      drawTake(op, take, take.host === op.host && index === op.takes.findIndex(t => t.host === op.host)),
    );
    ctx.globalAlpha = 1;
  }
}

function drawTake(op, take, issued) {
  const [at, y, colour] = [x(take.at), lane(take.host), colourOf(op.registration)];
  const safe = take.durable ?? take.lost ?? data.end.at;
  if (!visible(at, x(safe))) return;
  line(at, y, x(safe), y, colour, 4);
  ctx.fillStyle = colour;
  if (take.durable !== null) ctx.fillRect(x(take.durable) - 1, y - 6, 2.5, 12);
  if (take.lost !== null) cross(x(take.lost), y, 6, colours.bad);
  ctx.beginPath();
  if (issued && op.kind === "register") {
    ctx.moveTo(at - 8, y);
    ctx.lineTo(at, y - 8);
    ctx.lineTo(at + 8, y);
    ctx.lineTo(at, y + 8);
  } else if (issued) ctx.rect(at - 5, y - 5, 10, 10);
  else ctx.arc(at, y, 4, 0, 7);
  ctx.closePath();
  ctx.fillStyle = issued ? colour : colours.panel;
  ctx.strokeStyle = issued ? colours.panel : colour;
  ctx.lineWidth = issued ? 1 : 1.8;
  ctx.fill();
  ctx.stroke();
  if (named.ops.has(op)) halo(at, y, issued ? 12 : 8);
  if (isMembership(op) && !roomy) {
    point(at, y, () => opWords(op, take, issued));
    return;
  }
  const words = issued
    ? op.short + standing(op)
    : op.registration && op.kind === "register"
      ? op.registration.label
      : op.short;
  if (ctx.globalAlpha > 0.5)
    text(words, at - (issued ? 3 : 2), y - 16, colour, {
      row: "op" + take.host,
      bold: issued,
      size: issued ? 12 : 10.5,
    });
  point(at, y, () => opWords(op, take, issued));
}

// What the oracle says of a claim, next to it.
function standing(op) {
  const r = op.registration;
  if (op.kind !== "register" || r.fate === "won") return "";
  return {
    lost: r.lost_to.length ? `, loses to ${labelOf(r.lost_to[0])}` : ", loses",
    twin: `, twin of ${labelOf(r.lost_to[0])}`,
    gone: op.takes.some(take => take.lost !== null) ? ", lost in a crash" : "",
  }[r.fate];
}

// An op that a named host lacks at the moment of the violation.
function drawLacking() {
  if (!data.end.text.includes(" lacks ")) return;
  for (const op of named.ops)
    for (const host of named.hosts) {
      if (op.takes.some(take => take.host === host)) continue;
      ctx.setLineDash([3, 3]);
      halo(x(data.end.at), lane(host), 9);
      ctx.setLineDash([]);
      text(`lacks ${op.short}`, x(data.end.at) + 13, lane(host), colours.bad, {
        bold: true,
        size: 12,
        row: "lacks" + host,
      });
    }
}

const SIGNS = {
  confirmed: ["✓", "good"],
  rejected: ["✗", "bad"],
  contested: ["!", "warn"],
  activated: ["★", "good"],
  ended: ["–", "quiet"],
  accepted: ["·", "quiet"],
  crash: ["×", "bad"],
  start: ["▶", "good"],
  halt: ["■", "bad"],
  clock: ["±", "warn"],
  disk: ["!", "bad"],
  connected: ["⌁", "quiet"],
};
const kindOf = moment =>
  ["accepted", "connected"].includes(moment.kind) ? moment.kind : moment.stamp ? "events" : "faults";
function drawMoments() {
  const signs = new Map();
  for (const moment of data.moments) {
    const [row, at] = ["event" + moment.host, x(moment.at)];
    if (!shows(kindOf(moment)) || !moment.stamp || !visible(at, at) || !matches(moment.registration)) continue;
    if (!written.has(row)) written.set(row, []);
    written.get(row).push([at - 5, at + 4]);
  }
  for (const moment of data.moments) {
    const process = !moment.stamp;
    const kind = kindOf(moment);
    const at = x(moment.at);
    if (!shows(kind) || !visible(at, at)) continue;
    // Two outcomes at one moment stand below each other.
    const clear = matches(moment.registration);
    const last = clear && signs.get(moment.host);
    const level = process || moment.kind === "accepted" ? 0 : last && at - last.at < 9 ? (last.level + 1) % 3 : 0;
    if (!process && clear) signs.set(moment.host, { at, level });
    const y = lane(moment.host) + (process ? 0 : 15 + level * 13);
    if (!process) dim(moment.registration);
    const [sign, colour] = SIGNS[moment.kind];
    ctx.fillStyle = colours[colour];
    ctx.beginPath();
    ctx.arc(at, y, moment.kind === "accepted" ? 2 : 6.5, 0, 7);
    ctx.fill();
    if (moment.kind !== "accepted") text(sign, at, y + 0.5, colours.panel, { align: "center", size: 10, bold: true });
    if (moment.registration && named.registrations.has(moment.registration)) halo(at, y, 9);
    if (moment.registration && ctx.globalAlpha > 0.5 && moment.kind !== "accepted")
      text(moment.registration.label, at + 8, y, colourOf(moment.registration), {
        row: "event" + moment.host + (level || ""),
        bold: true,
        size: 10.5,
      });
    if (process && kind === "faults")
      text(moment.kind === "clock" ? moment.text : moment.kind, at + 8, y + 14, colours[colour], {
        row: "event" + moment.host,
        size: 10,
      });
    point(at, y, () => momentWords(moment));
    ctx.globalAlpha = 1;
  }
}

function drawCalls() {
  for (const call of data.calls) {
    const [at, end, y] = [x(call.at), call.told ? x(call.told[0]) : x(call.at), lane(call.host) - 30];
    if (!visible(at, end)) continue;
    const asked = state.name.toLowerCase().trim();
    ctx.globalAlpha = matches(call.registration) || (asked && call.text.toLowerCase().includes(asked)) ? 1 : 0.13;
    const colour = call.registration ? colourOf(call.registration) : colours.quiet;
    if (end > at + 3) line(at, y, end, y, colour, 1, [2, 2]);
    ctx.fillStyle = call.down ? colours.bad : colour;
    const triangle = (where, down) => {
      ctx.beginPath();
      ctx.moveTo(where, y + (down ? 6 : -5));
      ctx.lineTo(where + 5, y + (down ? -3 : 4));
      ctx.lineTo(where - 5, y + (down ? -3 : 4));
      ctx.fill();
    };
    triangle(at, true);
    if (call.down) cross(at, y + 6, 4, colours.bad, 1.5);
    if (call.told) {
      outcome(call, end, y, triangle);
      point(end, y, () => callWords(call));
    }
    const short = call.text.replace(/ \(request .*/, "").replace(/ for owner\d+$/, "");
    if (ctx.globalAlpha > 0.5) {
      const said = call.told ? call.told[1].replace(/;.*/, "") : call.down ? "node is down" : "";
      const words = { row: "call" + call.host, size: 10.5, paper: end > at + 20 };
      // An outcome that is told much later has its words at its own place.
      text(said && end - at < 200 ? `${short} → ${said}` : short, at + 7, y - 1, colours.text, {
        ...words,
        most: 330,
      }) || text(short, at + 7, y - 1, colours.text, { ...words, most: 70 });
    }
    point(at, y, () => callWords(call));
    ctx.globalAlpha = 1;
  }
}

// What a client is told: its colour says whether that is good news.
function outcome(call, at, y, triangle) {
  const said = / is (confirmed|rejected|contested|pending)$/.exec(call.told[1]);
  const news = said && SIGNS[said[1]] ? colours[SIGNS[said[1]][1]] : ctx.fillStyle;
  ctx.fillStyle = news;
  triangle(at, false);
  if (said && at - x(call.at) >= 200)
    text("told: " + said[1], at - 8, y - 1, news, {
      row: "call" + call.host,
      size: 10.5,
      bold: true,
      align: "right",
      paper: true,
    });
}

function mark(t, words, colour, dash, wide, row) {
  const at = x(t);
  const side = AXIS + (shows("faults") ? trackRows * FAULT_ROW : 0) + 1 + row;
  if (at > width)
    text(`${words}, at ${clockText(t)} ▶`, width - 6, side, colour, {
      bold: true,
      size: 12,
      align: "right",
      paper: true,
    });
  if (!visible(at, at)) return;
  line(at, AXIS - 6, at, height, colour, wide, dash);
  text(words, at + (at > width - 150 ? -5 : 5), side, colour, {
    bold: true,
    size: 12,
    align: at > width - 150 ? "right" : "left",
  });
  box(
    at - 3,
    AXIS - 6,
    6,
    height,
    () => `${clockText(t)}: ${words}` + (t === data.end.at && data.end.text ? `\n${data.end.text}` : ""),
  );
}

function draw() {
  layOut();
  hits = [];
  written.clear();
  taken = new Set();
  ctx.clearRect(0, 0, width, height);
  drawLanes();
  drawAxis();
  if (shows("faults")) {
    drawFaults();
    drawCuts();
  }
  if (shows("watermarks")) drawWatermarks();
  rows.forEach(row => {
    row.hidden = !shows("watermarks");
  });
  drawLetters(false);
  drawLetters(true);
  drawOps();
  if (shows("clients")) drawCalls();
  drawMoments();
  drawLacking();
  if (data.healed !== null) mark(data.healed, "healed", colours.good, [5, 4], 1.5, -1);
  if (data.end.kind !== "well") mark(data.end.at, `✗ ${data.end.check}`, colours.bad, [], 2.2, 0);
  document.documentElement.dataset.drawn = hits.length;
}
