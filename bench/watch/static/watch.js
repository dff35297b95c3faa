// Asks the server of `bench watch` every two seconds what changed, and shows it. Text from runs is only ever set as text.
"use strict";
const POLL = 2000, IDLE = 5000, CURVES_EVERY = 4000;
const SVG = "http://www.w3.org/2000/svg";
const $ = id => document.getElementById(id);
const runs = new Map(); // key -> {told, card, visible, drawn, stale}
let revision = 0, generation = -1, study = null;
const isDark = matchMedia("(prefers-color-scheme: dark)");

function duration(seconds) {
  if (seconds < 57.5) return `${Math.max(5 * Math.round(seconds / 5), 5)} s`;
  if (seconds < 3570) return `${Math.round(seconds / 60)} min`;
  const minutes = 10 * Math.round(seconds / 600);
  if (minutes < 2880) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor(minutes % 1440 / 60)} h`;
}
function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size && (size < 0.001 || size >= 1e7)) return value.toExponential(1);
  return value.toLocaleString("en", {maximumFractionDigits: size >= 1000 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3});
}
const name = run => `${run.label}-${run.protocol}/seed-${run.seed}`;
const shownState = run => run.phase || run.state;
const isQuiet = run => ["planned", "queued"].includes(run.state) && !run.phase;
const URGENCY = {training: 0, evaluating: 0, starting: 0, running: 0, failed: 1, unreadable: 1, interrupted: 1, diverged: 2, done: 2, queued: 4, planned: 4};
const urgency = run => URGENCY[shownState(run)] ?? 3;
const colour = run => run.colour[isDark.matches ? 1 : 0];

function node(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
// Round values between two ends of a scale: even steps on a linear one, else 1, 2 and 5 times powers of ten.
function ticks(low, high, most, bend, back, linear) {
  const round = [1, 2, 5, 10], ten = value => 10 ** Math.floor(Math.log10(value));
  const even = (from, to) => {
    const unit = ten((to - from) / most), step = unit * (round.findLast(many => Math.floor(to / unit / many) > Math.ceil(from / unit / many)) ?? 1);
    const found = [];
    for (let at = Math.ceil(from / step - 1e-9); at * step <= to * (1 + Math.sign(to) * 1e-9) && found.length < 20; at++) found.push(at * step + 0);
    return found.filter((_, at) => at % Math.ceil(found.length / (most + 1)) === 0);
  };
  if (linear) return even(low, high);
  const found = new Set();
  for (let row = 0; row <= most; row++) {
    const value = back(low + (high - low) * row / most), size = Math.abs(value), unit = size ? ten(size) : 1;
    const rounded = Math.sign(value) * unit * (round.findLast(many => many * unit <= 1.001 * size) ?? 0);
    if (bend(rounded) >= low && bend(rounded) <= high) found.add(rounded);
  }
  return found.size > 1 ? [...found] : even(back(low), back(high));
}
// Curves with gaps where a value is null. A few values far beyond the others get a scale that is linear near 0 alone.
function plot(svg, lines, {floor = null, label = "", log = false, end = 0} = {}) {
  const width = svg.clientWidth || 300, height = svg.clientHeight || 100, left = 46, right = 8, top = 6, bottom = 18;
  const values = lines.flatMap(line => line.values.filter(value => value !== null));
  if (floor !== null) values.push(floor);
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", label);
  if (!values.length) return;
  const sizes = values.map(Math.abs).sort((a, b) => a - b), middle = sizes[sizes.length >> 1] || 1e-9;
  const stretched = !log && sizes.at(-1) > 60 * middle;
  const bend = log ? Math.log : stretched ? value => Math.sign(value) * Math.log1p(Math.abs(value) / middle) : value => value;
  const back = log ? Math.exp : stretched ? bent => Math.sign(bent) * Math.expm1(Math.abs(bent)) * middle : bent => bent;
  const bent = values.map(bend);
  let low = bent.reduce((a, b) => Math.min(a, b)), high = bent.reduce((a, b) => Math.max(a, b));
  if (low === high) { low -= 0.05 * (Math.abs(low) || 1); high += 0.05 * (Math.abs(high) || 1); }
  const last = Math.max(end, 1, ...lines.map(line => line.steps.at(-1) ?? 0));
  const x = step => left + (width - left - right) * step / last;
  const y = value => top + (height - top - bottom) * (high - bend(value)) / (high - low);
  const rows = height > 150 ? 4 : 2;
  for (const value of ticks(low, high, rows, bend, back, !log && !stretched)) {
    svg.append(node("line", {class: "axis", x1: left, x2: width - right, y1: y(value), y2: y(value)}));
    svg.append(node("text", {x: left - 5, y: y(value) + 4, "text-anchor": "end"}, number(Number(value.toPrecision(6)))));
  }
  svg.append(node("text", {x: left, y: height - 3}, "0"));
  svg.append(node("text", {x: width - right, y: height - 3, "text-anchor": "end"}, `step ${number(last)}`));
  if (floor !== null) svg.append(node("line", {class: "floor", x1: left, x2: width - right, y1: y(floor), y2: y(floor)}));
  for (const line of lines) {
    let piece = [];
    const close = () => {
      const looks = line.class ? {class: line.class} : {stroke: line.colour};
      if (piece.length > 1) svg.append(node("polyline", {...looks, points: piece.join(" ")}));
      if (piece.length === 1 || line.dots) for (const point of piece) {
        const [cx, cy] = point.split(",");
        svg.append(node("circle", {...looks, cx, cy, r: 2.5, fill: "none", "stroke-width": 1.6}));
      }
      piece = [];
    };
    line.values.forEach((value, at) => {
      if (value === null) close(); else piece.push(`${x(line.steps[at]).toFixed(1)},${y(value).toFixed(1)}`);
    });
    close();
  }
}

function drawScores() {
  const all = [...runs.values()].map(run => run.told), scored = all.filter(run => run.curve?.length);
  $("scores-part").hidden = !scored.length;
  if (!scored.length) return;
  const floor = scored.at(-1).floor ?? null;
  const lines = scored.map(run => ({steps: run.curve.map(score => score[0]), values: run.curve.map(score => score[1]), colour: colour(run), dots: true}));
  // Real images far below all rows would press these together: they are named in the note instead.
  const near = floor !== null && floor > Math.min(...lines.flatMap(line => line.values)) / 3;
  const positive = lines.every(line => line.values.every(value => value > 0)) && (floor === null || floor > 0);
  const better = study.metric.better ? `, ${study.metric.better} is better` : "";
  $("scores-title").textContent = `${study.metric.title} (${scored.at(-1).curve_of})${better}`;
  plot($("scores"), lines, {floor: near ? floor : null, log: positive && study.metric.better === "lower", end: study.final_step,
    label: `${study.metric.title} of ${scored.length} runs against generator steps`});
  $("scores-note").textContent = `A line for each of ${scored.length} runs; snapshots are measured after a run's training.`
    + (floor === null ? "" : ` ${near ? "Dashed: real" : "Real"} images against real ones: ${number(floor)}.`);
  const rows = new Map(all.map(run => [run.label, run]));
  $("rows").replaceChildren(...[...rows.values()].map(run => {
    const item = document.createElement("li"), mark = document.createElement("i");
    mark.className = "mark";
    mark.style.background = colour(run);
    item.append(mark, run.label);
    return item;
  }));
}

const watcher = new IntersectionObserver(entries => {
  for (const entry of entries) {
    const run = runs.get(Number(entry.target.dataset.key));
    if (run) { run.visible = entry.isIntersecting; if (run.visible) drawCurves(run); }
  }
}, {rootMargin: "200px"});

function makeCard(run) {
  const card = $("card").content.firstElementChild.cloneNode(true);
  card.dataset.key = run.told.key;
  watcher.observe(card);
  return card;
}
function fill(run) {
  const told = run.told, card = run.card ??= makeCard(run), part = query => card.querySelector(query);
  const total = told.total_generator_steps;
  card.dataset.state = told.state;
  card.classList.toggle("quiet", isQuiet(told));
  part(".mark").style.background = colour(told);
  part(".name").textContent = name(told);
  part(".state").textContent = shownState(told);
  part(".steps").textContent = total ? `${told.generator_steps.toLocaleString("en")} of ${total.toLocaleString("en")} steps` : "";
  part(".left").textContent = told.phase === "training" && told.seconds_left !== null
    ? `· ${duration(told.seconds_left)} of training left · ${number(told.steps_per_second)} steps/s on ${told.device}` : "";
  part(".share span").style.width = `${total ? 100 * told.generator_steps / total : 0}%`;
  part(".reason").hidden = !told.reason;
  part(".reason").textContent = told.reason ?? "";
  part(".score").textContent = told.score ? `${told.score} at step ${told.score_step.toLocaleString("en")}` : `${study.metric.name}: not measured yet`;
  const grid = part(".grid");
  grid.hidden = !told.grid;
  if (told.grid) {
    const source = `samples/${told.key}/${told.grid}.png`;
    if (grid.getAttribute("href") !== source) {
      grid.setAttribute("href", source);
      grid.querySelector("img").src = source;
      grid.querySelector("img").alt = `Samples of ${name(told)} at step ${told.grid}`;
      grid.querySelector("span").textContent = `samples, step ${told.grid.toLocaleString("en")}`;
    }
  }
}
async function drawCurves(run) {
  if (!run.visible || !run.stale || run.asking || isQuiet(run.told) || Date.now() - (run.drawn ?? 0) < CURVES_EVERY) return;
  run.asking = true;
  run.stale = false;
  try {
    const curves = await ask(`curves/${run.told.key}.json`);
    run.drawn = Date.now();
    run.curves = curves;
    showCurves(run);
  } catch { run.stale = true; } finally { run.asking = false; }
}
function showCurves(run) {
  const place = run.card.querySelector(".losses");
  const players = ["discriminator", "generator"].filter(player => run.curves.some(curve => curve.player === player));
  place.replaceChildren(...players.flatMap(player => {
    const mine = run.curves.filter(curve => curve.player === player);
    const head = document.createElement("p"), who = document.createElement("b"), svg = node("svg", {class: "plot", role: "img"});
    who.textContent = players.length > 1 ? player : "loss";
    head.append(who);
    mine.forEach((curve, at) => {
      const term = document.createElement("i");
      term.className = `term-${at % 4}`;
      term.textContent = `${curve.term} ${number(curve.values.at(-1))}`;
      head.append(term);
    });
    return [head, svg];
  }));
  [...place.querySelectorAll("svg")].forEach((svg, at) => {
    const mine = run.curves.filter(curve => curve.player === players[at]);
    plot(svg, mine.map((curve, index) => ({...curve, class: `term-${index % 4}`})),
      {label: `Loss terms of the ${players[at]} of ${name(run.told)}`, end: run.told.total_generator_steps});
  });
}

function arrange() {
  const words = $("words").value.toLowerCase().split(/\s+/).filter(Boolean), wanted = $("state").value;
  const fits = run => words.every(word => name(run.told).toLowerCase().includes(word)) && (!wanted || shownState(run.told) === wanted);
  const shown = [...runs.values()].filter(fits).sort((a, b) => urgency(a.told) - urgency(b.told) || a.told.key - b.told.key);
  const cards = shown.map(run => run.card), place = $("runs");
  if (cards.length !== place.children.length || cards.some((card, at) => card !== place.children[at])) {
    const held = document.activeElement;
    place.replaceChildren(...cards);
    if (held && place.contains(held)) held.focus({preventScroll: true});
  }
  $("shown").textContent = shown.length < runs.size ? `${shown.length} of ${runs.size} shown` : "";
  const states = [...new Set([...runs.values()].map(run => shownState(run.told)))].sort();
  if (wanted && !states.includes(wanted)) states.push(wanted);
  const options = ["", ...states];
  if (options.join() !== [...$("state").options].map(option => option.value).join()) {
    $("state").replaceChildren(...options.map(value => new Option(value || "all", value)));
    $("state").value = wanted;
  }
}
function summarise() {
  const all = [...runs.values()].map(run => run.told), counts = new Map();
  for (const run of all) counts.set(shownState(run), (counts.get(shownState(run)) ?? 0) + 1);
  const parts = [...counts].map(([state, count]) => `${count} ${state}`);
  const left = study.seconds_left === null ? "" : `; about ${duration(study.seconds_left)} left`;
  $("summary").textContent = `${all.length} runs: ${parts.join(", ")}${left}`;
  const done = all.reduce((sum, run) => sum + (run.total_generator_steps ? run.generator_steps / run.total_generator_steps : 0), 0);
  const share = all.length ? 100 * done / all.length : 0;
  $("share").firstElementChild.style.width = `${share}%`;
  $("share").setAttribute("aria-valuenow", Math.round(share));
}
function trouble(text) { $("trouble").hidden = !text; $("trouble").textContent = text; }

async function ask(path) {
  const answer = await fetch(path, {cache: "no-store"});
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}
function take(news) {
  study = news;
  document.title = `${news.study} – bench watch`;
  if (news.error) { trouble(news.error); return; }
  trouble("");
  if (news.generation !== generation) {
    for (const run of runs.values()) if (run.card) watcher.unobserve(run.card);
    runs.clear();
    $("runs").replaceChildren();
  }
  ({revision, generation} = news);
  if (news.waiting) {
    $("title").textContent = news.study;
    $("summary").textContent = "Waiting for the first run; this page shows it by itself.";
    return;
  }
  $("title").textContent = news.title;
  $("notice").hidden = !news.notice;
  $("notice").textContent = news.notice ?? "";
  for (const told of news.runs) {
    const run = runs.get(told.key) ?? {};
    Object.assign(run, {told, stale: true});
    runs.set(told.key, run);
    fill(run);
  }
  arrange();
  summarise();
  if (news.runs.length) drawScores();
  for (const run of runs.values()) drawCurves(run);
}
async function poll() {
  try {
    if (!document.hidden) take(await ask(`study.json?since=${revision}&generation=${generation}`));
  } catch {
    trouble("bench watch does not answer: it has ended, or the connection is gone. This page goes on when it is back.");
  }
  const busy = [...runs.values()].some(run => urgency(run.told) === 0);
  setTimeout(poll, busy ? POLL : IDLE);
}
function redraw() {
  if (!study || study.waiting) return;
  drawScores();
  for (const run of runs.values()) { fill(run); if (run.curves && run.visible) showCurves(run); }
}
let waiting;
addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(redraw, 150); });
isDark.addEventListener("change", redraw);
$("choice").addEventListener("submit", event => event.preventDefault());
$("words").addEventListener("input", arrange);
$("state").addEventListener("change", arrange);
poll();
