// The live page: reads the stream of snapshots, shows them, and sends what the buttons ask for. Every text of the
// server becomes a text node, never markup.
"use strict";

const PHASES = ["Preflight", "Prepare", "RowCopy", "CatchUp", "Verify", "AwaitCutOver", "CutOver", "CleanUp"];
const KEPT = 3600;
const DRAWN = 240;
const CHARTS = [
  { title: "Rows copied per second", of: (it) => it.rate, say: (it) => count(it) },
  { title: "Keys waiting (backlog)", of: (it) => it.backlog, say: (it) => count(it) },
  { title: "Stream lag", of: (it) => it.stream, say: lag },
  { title: "Replica lag", of: (it) => it.replica, say: lag },
];
const SURE = {
  "cut-over": {
    title: "Let the tables be swapped?",
    text: "As soon as everything is copied and verified the new table takes the place of the old one. Writers wait for a moment.",
    yes: "Allow the cut-over",
  },
  panic: {
    title: "Stop at once?",
    text: "Panic stops within a second and keeps every table. The binlog is no longer followed. It cannot be taken back while it runs.",
    yes: "Panic",
  },
};

const el = (id) => document.getElementById(id);
const series = new Map();
let token = "";
let chosen = null;
let shown = [];
let pace = 1000;
let busy = false;
let connection = null;
let hovered = null;

function make(name, attributes = {}, ...children) {
  const is_svg = ["svg", "path", "line"].includes(name);
  const node = is_svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function tone(node, value) {
  if (value) node.dataset.tone = value;
  else delete node.dataset.tone;
}

function count(value) {
  return Math.round(value).toLocaleString("en-US");
}

function lag(value) {
  if (value === undefined || value === null) return "unknown";
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;
}

function spoken(seconds) {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${rest} s` : `${rest} s`;
}

function clock(time) {
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

function key(migration) {
  return `${migration.namespace}/${migration.name}`;
}

function query(migration) {
  return new URLSearchParams({ namespace: migration.namespace, name: migration.name }).toString();
}

// --- asking -------------------------------------------------------------------------------------------------

function ask(path, options = {}) {
  const headers = { ...options.headers, Authorization: `Bearer ${token}` };
  return fetch(path, { ...options, headers, cache: "no-store", credentials: "omit", redirect: "error" });
}

async function problem(response) {
  try {
    const said = await response.json();
    return said.remedy ? `${said.error} – ${said.remedy}` : said.error;
  } catch {
    return `the answer is ${response.status}`;
  }
}

async function send(migration, action, body) {
  if (busy) return;
  busy = true;
  buttons(migration);
  tell(`${action} …`);
  try {
    const headers = body ? { "Content-Type": "application/json" } : {};
    const options = { method: "POST", headers, body: body && JSON.stringify(body) };
    const response = await ask(`api/${action}?${query(migration)}`, options);
    if (!response.ok) tell(await problem(response), "bad");
    else {
      const said = await response.json();
      tell([said.message, ...said.notes].join("; "));
    }
  } catch {
    tell("the server cannot be reached", "bad");
  }
  busy = false;
  const now = shown.find((one) => key(one) === chosen);
  if (now) buttons(now);
}

function tell(text, how) {
  write(el("told"), text);
  tone(el("told"), how);
}

function sure(migration, action) {
  const words = SURE[action];
  if (!words) return send(migration, action);
  write(el("sure-title"), words.title);
  write(el("sure-text"), `${migration.database}.${migration.table}: ${words.text}`);
  write(el("sure-yes"), words.yes);
  el("sure-yes").className = action === "panic" ? "danger" : "";
  const dialog = el("sure");
  dialog.returnValue = "no";
  dialog.onclose = () => dialog.returnValue === "yes" && send(migration, action);
  dialog.showModal();
}

// --- the stream ---------------------------------------------------------------------------------------------

async function follow() {
  const own = new AbortController();
  connection?.abort();
  connection = own;
  while (!own.signal.aborted) {
    try {
      const response = await ask("api/events", { signal: own.signal });
      if (response.status === 401) return enter(await problem(response));
      if (!response.ok) throw new Error(await problem(response));
      if (series.size === 0) await remember();
      state("live", "live");
      pace = 1000;
      await read(response.body, own.signal);
      throw new Error("the connection ended; has the run?");
    } catch (error) {
      if (own.signal.aborted) return;
      state("lost", error instanceof TypeError ? "no connection; has the run ended?" : error.message);
    }
    await new Promise((done) => setTimeout(done, pace));
    pace = Math.min(pace * 2, 15000);
  }
}

async function read(body, signal) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (!signal.aborted) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split("\n\n");
    rest = parts.pop();
    for (const part of parts) hear(part);
  }
}

function hear(part) {
  const field = (name) => part.split("\n").filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart()).join("\n");
  if (field("event") === "problem") throw new Error(field("data"));
  if (field("event") === "snapshot") take(JSON.parse(field("data")));
}

async function remember() {
  const response = await ask("api/samples.csv");
  if (!response.ok) return;
  const [head, ...lines] = cells(await response.text());
  const at = Object.fromEntries(head.map((name, place) => [name, place]));
  const number = (text) => (text === "" ? null : Number(text));
  for (const line of lines) {
    add(`${line[at.namespace]}/${line[at.name]}`, {
      time: Date.parse(line[at.time]), rate: number(line[at.rows_per_second]), backlog: number(line[at.backlog]),
      stream: number(line[at.stream_lag_seconds]), replica: number(line[at.replica_lag_seconds]),
    });
  }
}

function cells(text) {
  const lines = [[]];
  const one = /("(?:[^"]|"")*"|[^,\n]*)(,|\n|$)/y;
  while (one.lastIndex < text.length) {
    const [, cell, end] = one.exec(text);
    lines.at(-1).push(cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell);
    if (end === "\n") lines.push([]);
  }
  return lines.filter((line) => line.length > 1);
}

function add(name, sample) {
  const all = series.get(name) ?? [];
  all.push(sample);
  if (all.length > KEPT) all.shift();
  series.set(name, all);
}

function take(snapshot) {
  shown = snapshot.migrations;
  for (const one of shown.filter((it) => !it.ended)) {
    add(key(one), {
      time: Date.parse(snapshot.at), rate: one.rowsPerSecond, backlog: one.backlog,
      stream: one.streamLagSeconds ?? null, replica: one.replicaLagSeconds ?? null,
    });
  }
  if (!shown.some((one) => key(one) === chosen)) {
    const first = shown.find((one) => !one.ended) ?? shown[0];
    chosen = first ? key(first) : null;
  }
  show();
}

// --- showing ------------------------------------------------------------------------------------------------

function state(value, text) {
  el("connection").dataset.state = value;
  write(el("connection"), text);
}

function show() {
  el("nothing").hidden = shown.length > 0;
  list();
  const migration = shown.find((one) => key(one) === chosen);
  el("detail").hidden = !migration;
  if (!migration) return;
  heading(migration);
  buttons(migration);
  notices(migration);
  figures(migration);
  settings(migration);
  charts();
}

function share(migration) {
  if (migration.phase === "Verify") return migration.verifiedPercent;
  const later = ["CatchUp", "AwaitCutOver", "CutOver", "CleanUp", "Succeeded"];
  return later.includes(migration.phase) ? 100 : migration.percent;
}

function mood(migration) {
  if (["Failed", "Panicked", "Aborted"].includes(migration.phase)) return "bad";
  if (migration.phase === "Succeeded") return "good";
  return migration.paused || migration.phase === "Retrying" ? "warn" : "";
}

function word(migration) {
  return migration.paused && !migration.ended ? `${migration.phase}, paused` : migration.phase;
}

function list() {
  const place = el("list");
  place.hidden = shown.length < 2;
  if (place.hidden) return place.replaceChildren();
  const known = new Map([...place.children].map((row) => [row.dataset.key, row]));
  const rows = shown.map((one) => {
    const row = known.get(key(one)) ?? blank_row(one);
    row.setAttribute("aria-current", String(key(one) === chosen));
    const [names, badge, bar, told] = row.children;
    write(names.children[0], `${one.database}.${one.table}`);
    write(names.children[1], key(one));
    write(badge, word(one));
    tone(badge, mood(one));
    bar.firstChild.style.width = `${share(one)}%`;
    tone(bar, mood(one));
    const left = one.etaSeconds === undefined ? "" : `, ${spoken(one.etaSeconds)} left`;
    write(told, `${share(one).toFixed(1)}%${left}`);
    return row;
  });
  place.replaceChildren(...rows);
}

function blank_row(migration) {
  const row = make("button", { type: "button", class: "row" },
    make("span", {}, make("b"), make("span", { class: "dim" })),
    make("span", { class: "badge" }), make("span", { class: "bar" }, make("div")), make("span"));
  row.dataset.key = key(migration);
  row.onclick = () => {
    chosen = row.dataset.key;
    tell("");
    show();
    el("detail").scrollIntoView({ block: "nearest" });
  };
  return row;
}

function heading(migration) {
  const title = `${migration.database}.${migration.table}`;
  document.title = `${share(migration).toFixed(0)}% ${title} – ghostship`;
  write(el("table"), title);
  write(el("name"), key(migration));
  write(el("alter"), migration.alter);
  write(el("phase"), word(migration));
  tone(el("phase"), mood(migration));
  const now = PHASES.indexOf(migration.phase);
  el("steps").hidden = now < 0;
  if (el("steps").children.length === 0) el("steps").append(...PHASES.map((it) => make("li", { title: it }, it)));
  [...el("steps").children].forEach((step, place) => {
    step.dataset.state = place < now ? "done" : place === now ? "now" : "";
  });
  const percent = share(migration);
  el("fill").style.width = `${percent}%`;
  el("bar").setAttribute("aria-valuenow", percent.toFixed(1));
  tone(el("bar"), mood(migration));
  write(el("percent"), `${percent.toFixed(1)}%`);
  const what = migration.phase === "Verify" ? "verified" : `${count(migration.rowsCopied)} of ~${count(migration.rowsEstimated)} rows`;
  write(el("rows"), what);
  write(el("eta"), migration.etaSeconds === undefined || migration.paused ? "" : `${spoken(migration.etaSeconds)} left`);
}

function buttons(migration) {
  for (const button of el("buttons").children) {
    const action = button.dataset.action;
    const may = migration.actions.includes(action);
    button.hidden = !may && !(action === "panic" && !migration.ended);
    button.disabled = busy || !may;
    button.onclick = () => sure(migration, action);
  }
}

function notices(migration) {
  const all = [];
  const notice = (how, title, ...words) => all.push(make("div", { class: "notice", "data-tone": how }, make("b", {}, title), ...words));
  if (migration.message) notice(mood(migration), "Now", migration.message);
  if (migration.paused) notice("warn", "Paused", migration.pausedBy ?? "on request; following the binlog goes on");
  for (const one of migration.throttled) {
    const since = one.since ? `, for ${spoken((Date.now() - Date.parse(one.since)) / 1000)}` : "";
    notice("warn", "Throttled", `${one.reason}${since}`);
  }
  if (migration.waitingFor && !migration.paused) notice("", "Waits", migration.waitingFor);
  if (migration.blocker) {
    const { id, user, since, holds, statement } = migration.blocker;
    const who = `${id}${user ? ` of ${user}` : ""} holds ${holds}${since ? ` since ${clock(since)}` : ""} `;
    notice("bad", "In the way", who, make("code", {}, statement));
  }
  if (migration.lastCutOverError) notice("warn", `Cut-over attempt ${migration.cutOverAttempts}`, migration.lastCutOverError);
  if (migration.postponed) notice("", "Cut-over", "postponed: everything else is done and kept current until it is allowed");
  for (const one of migration.laidOver ?? []) notice("", "Set here, over the file", make("code", {}, `${one.field}: ${JSON.stringify(one.value)}`));
  const words = (nodes) => nodes.map((node) => node.textContent).join("\n");
  if (words(all) !== words([...el("notices").children])) el("notices").replaceChildren(...all);
}

function figures(migration) {
  const rows = [
    ["Rows per second", count(migration.rowsPerSecond)],
    ["Keys applied", count(migration.keysApplied)],
    ["Keys waiting", count(migration.backlog)],
    ["Stream lag", lag(migration.streamLagSeconds)],
    ["Replica lag", lag(migration.replicaLagSeconds)],
    ["Verified", `${migration.verifiedPercent.toFixed(1)}%`],
    ["Rows repaired", count(migration.rowsRepaired)],
    ["Cut-over attempts", count(migration.cutOverAttempts)],
  ];
  if (migration.binlogHeadroomSeconds !== undefined) rows.push(["Binlog kept for", spoken(migration.binlogHeadroomSeconds)]);
  if (migration.startedAt) rows.push(["Started", new Date(migration.startedAt).toLocaleString()]);
  const pause = migration.lastPause;
  if (pause) rows.push(["Last pause", `${spoken(pause.seconds)}: ${pause.reason}; ${count(pause.keysApplied)} keys applied meanwhile`]);
  const place = el("figures");
  while (place.children.length > rows.length * 2) place.lastChild.remove();
  rows.forEach(([name, value], at) => {
    if (!place.children[at * 2]) place.append(make("dt"), make("dd"));
    write(place.children[at * 2], name);
    write(place.children[at * 2 + 1], value);
  });
}

function settings(migration) {
  const value = (field) => migration.settings.find((one) => one.field === field)?.value ?? "";
  el("threads").placeholder = value("copy.threads");
  el("limit").placeholder = value("copy.maxRowsPerSecond");
  el("chunk").placeholder = value("copy.chunkTime");
  const text = JSON.stringify(migration.settings);
  if (el("settings").dataset.of === text) return;
  el("settings").dataset.of = text;
  const row = (one) => make("tr", {}, make("td", {}, one.field), make("td", {}, one.value), make("td", {}, one.origin));
  el("settings").replaceChildren(...migration.settings.map(row));
}

// --- charts -------------------------------------------------------------------------------------------------

function charts() {
  const all = series.get(chosen) ?? [];
  const place = el("charts");
  if (place.children.length === 0) place.append(...CHARTS.map(blank_chart));
  const step = Math.max(1, Math.ceil(all.length / DRAWN));
  CHARTS.forEach((chart, at) => draw(place.children[at], chart, thinned(all, chart.of, step)));
}

// The highest of each group, so that no peak is lost.
function thinned(all, of, step) {
  const points = [];
  for (let at = all.length % step; at < all.length; at += step) {
    const group = all.slice(at, at + step);
    const values = group.map(of).filter((it) => it !== null && Number.isFinite(it));
    points.push({ time: group.at(-1).time, value: values.length ? Math.max(...values) : null });
  }
  return points;
}

function blank_chart(chart) {
  const lines = [0, 50, 100].map((y) => make("line", { class: "grid", x1: 0, x2: 300, y1: y, y2: y }));
  const cursor = make("line", { class: "cursor", y1: 0, y2: 100, visibility: "hidden" });
  const svg = make("svg", { viewBox: "0 -3 300 106", preserveAspectRatio: "none", role: "img", "aria-label": chart.title },
    ...lines, make("path", { class: "area" }), make("path", { class: "line" }), cursor);
  const point = (event) => {
    const box = svg.getBoundingClientRect();
    hovered = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    charts();
  };
  svg.onpointermove = point;
  svg.onpointerdown = point;
  svg.onpointerleave = () => {
    hovered = null;
    charts();
  };
  return make("section", { class: "card chart" }, make("h3", {}, make("span", {}, chart.title), make("output")), svg,
    make("div", { class: "axis" }, make("span"), make("span"), make("span")));
}

function draw(place, chart, points) {
  const [head, svg, axis] = place.children;
  const known = points.filter((point) => point.value !== null);
  const top = round_up(Math.max(0, ...known.map((point) => point.value)));
  const [from, to] = [points[0]?.time ?? 0, points.at(-1)?.time ?? 0];
  const x = (time) => (to > from ? ((time - from) / (to - from)) * 300 : 300);
  const y = (value) => 100 - (top > 0 ? (value / top) * 100 : 0);
  let line = "";
  let area = "";
  let begin = null;
  points.forEach((point, at) => {
    if (point.value === null) {
      begin = null;
      return;
    }
    const here = `${x(point.time).toFixed(1)} ${y(point.value).toFixed(1)}`;
    line += begin === null ? `M${here}` : `L${here}`;
    if (begin === null) {
      begin = x(point.time).toFixed(1);
      area += `M${begin} 100`;
    }
    area += `L${here}`;
    if (!points[at + 1] || points[at + 1].value === null) area += `L${x(point.time).toFixed(1)} 100Z`;
  });
  svg.querySelector(".line").setAttribute("d", line);
  svg.querySelector(".area").setAttribute("d", area);
  const aimed = hovered === null ? null : nearest(points, from + hovered * (to - from));
  const cursor = svg.querySelector(".cursor");
  cursor.setAttribute("visibility", aimed ? "visible" : "hidden");
  if (aimed) {
    cursor.setAttribute("x1", x(aimed.time));
    cursor.setAttribute("x2", x(aimed.time));
  }
  const told = aimed ?? points.at(-1);
  const value = told && told.value !== null ? chart.say(told.value) : known.length ? "unknown" : "none seen";
  write(head.querySelector("output"), aimed ? `${value} at ${clock(aimed.time)}` : value);
  write(axis.children[0], from ? clock(from) : "");
  write(axis.children[1], known.length ? `top ${chart.say(top)}` : "");
  write(axis.children[2], to ? clock(to) : "");
}

function nearest(points, time) {
  return points.reduce((best, point) => (best && Math.abs(best.time - time) <= Math.abs(point.time - time) ? best : point), null);
}

function round_up(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((it) => it * power).find((it) => it >= value);
}

// --- beginning ----------------------------------------------------------------------------------------------

function enter(text) {
  connection?.abort();
  token = "";
  sessionStorage.removeItem("token");
  state("waiting", "no token");
  el("entrance").hidden = false;
  el("leave").hidden = true;
  for (const id of ["list", "detail", "nothing"]) el(id).hidden = true;
  write(el("entrance-problem"), text ?? "");
  el("token").focus();
}

function open(given) {
  token = given;
  sessionStorage.setItem("token", token);
  series.clear();
  el("entrance").hidden = true;
  el("leave").hidden = false;
  el("token").value = "";
  state("waiting", "connecting");
  follow();
}

// A token in the address is taken out of it: it shall not stay in the history.
function given() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found) history.replaceState(null, "", location.pathname);
  return found;
}

function start() {
  el("entrance").onsubmit = (event) => {
    event.preventDefault();
    open(el("token").value.trim());
  };
  el("leave").onclick = () => enter();
  el("tuning").onsubmit = (event) => {
    event.preventDefault();
    tune();
  };
  el("csv").onclick = (event) => {
    event.preventDefault();
    download();
  };
  window.onhashchange = () => {
    const found = given();
    if (found) open(found);
  };
  const known = given() ?? sessionStorage.getItem("token");
  if (known) open(known);
  else enter();
}

function tune() {
  const migration = shown.find((one) => key(one) === chosen);
  const number = (id) => (el(id).value.trim() === "" ? undefined : Number(el(id).value));
  const copy = { threads: number("threads"), maxRowsPerSecond: number("limit"), chunkTime: el("chunk").value.trim() || undefined };
  if (!migration || Object.values(copy).every((value) => value === undefined)) return;
  send(migration, "tuning", { copy });
  el("tuning").reset();
}

async function download() {
  const migration = shown.find((one) => key(one) === chosen);
  const response = await ask(`api/samples.csv?${migration ? query(migration) : ""}`);
  if (!response.ok) return tell(await problem(response), "bad");
  const url = URL.createObjectURL(await response.blob());
  make("a", { href: url, download: "ghostship-samples.csv" }).click();
  URL.revokeObjectURL(url);
}

start();
