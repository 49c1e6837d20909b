// The page: asks for frames, shows them, and tells what is under the pointer.
import { IGNORE, canvas, drawOverlay, gray, put } from "./draw.js";
import { ask, unpack } from "./frames.js";
import { indexPng } from "./png.js";

const STEP = 0.01, RETRY_MS = 1000;
const KINDS = ["overlay", "rgb", "thermal", "confidence"];
const $ = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
let about = null;          // what is shown: title, live, names, tags, rate
let frame = null;          // the frame on the page
let playing = true;
let dropped = false;       // whether the frame on the page came from files that were dropped
let steps = 0;             // live: frames still to be shown while paused
let order = [], place = 0; // list: frames that pass the filters, and which of them is on the page
let asking = null;         // the request under way
let point = null;          // where the pointer is, 0..1
const hidden = new Set();  // classes left out of the overlay

// --- drawing --------------------------------------------------------------------------------------------------------
const blend = () => drawOverlay(frame, { under: $("under").value, opacity: $("opacity").value, hidden });

function draw() {
  const { rgb, thermal, confidence } = frame;
  if (rgb) put("rgb", rgb.width, rgb.height, rgb.values);
  if (thermal) put("thermal", thermal.width, thermal.height, gray(thermal, ...frame.gray));
  if (confidence) put("confidence", confidence.width, confidence.height, gray(confidence, 0, 255));
  const any = frame.mask || rgb || thermal;
  if (any) blend();
  const shares = frame.legend.filter((row) => row.share).sort((a, b) => b.share - a.share);
  const told = shares.map((row) => `${row.name} ${percent(row.share)}`).join(", ") || "no mask";
  const alt = { overlay: `mask over the frame: ${told}`, rgb: "colour camera", thermal: "thermal camera", confidence: "confidence of the mask, white is sure" };
  for (const kind of KINDS) {
    $(kind).classList.toggle("empty", !(kind === "overlay" ? any : frame[kind]));
    canvas(kind).setAttribute("aria-label", `${alt[kind]}, frame ${frame.name}`);
  }
}

// --- what is told -----------------------------------------------------------------------------------------------------
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function show(next, from) {
  frame = next;
  dropped = from === "files";
  const where = dropped || about.live ? "" : `${place + 1} of ${order.length}: `;
  $("name").textContent = where + frame.name;
  problem(frame.error);
  draw();
  tellLegend();
  tellState(frame.state);
  tellPoint();
}

function tellLegend() {
  const focus = document.activeElement.dataset.id;
  $("legend").replaceChildren(...frame.legend.map((row) => {
    const box = element("i", {});
    if (row.id !== 0 && row.id !== IGNORE) box.style.background = `rgb(${row.color})`;
    const button = element("button", { className: row.share ? "" : "none", title: "show or hide in the overlay" },
      box, element("span", { textContent: row.name }), element("b", { textContent: percent(row.share) }));
    button.dataset.id = row.id;
    button.setAttribute("aria-pressed", String(!hidden.has(row.id)));
    button.onclick = () => {
      hidden.has(row.id) ? hidden.delete(row.id) : hidden.add(row.id);
      tellLegend();
      blend();
    };
    return element("li", {}, button);
  }));
  if (focus) document.querySelector(`#legend [data-id="${focus}"]`)?.focus();
}

function tellState(state) {
  const rows = Object.entries(state).filter(([key]) => key !== "state");
  $("state").replaceChildren(...rows.flatMap(([key, value]) => [
    element("dt", { textContent: key }), element("dd", { textContent: value })]));
}

function badge(text, bad) {
  $("badge").textContent = text;
  $("badge").className = bad ? "bad" : "";
}

function problem(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

const under = (picture) => picture.values[
  Math.min(picture.height - 1, Math.floor(point.y * picture.height)) * picture.width
  + Math.min(picture.width - 1, Math.floor(point.x * picture.width))];

function tellPoint() {
  if (!point || !frame) return;
  document.body.classList.add("pointing");
  for (const cross of document.querySelectorAll(".cross")) {
    Object.assign(cross.style, { left: `${100 * point.x}%`, top: `${100 * point.y}%` });
  }
  const lines = [];
  if (frame.mask) lines.push(frame.legend.find((row) => row.id === under(frame.mask))?.name ?? "no class");
  if (frame.confidence) lines.push(`confidence ${percent(under(frame.confidence) / 255)}`);
  if (frame.thermal) {
    const value = under(frame.thermal);
    const told = frame.celsius ? `${(value * frame.celsius[0] + frame.celsius[1]).toFixed(1)} °C` : `${+value.toFixed(2)}`;
    lines.push(`thermal ${told}`);
  }
  $("pointer").textContent = lines.join("\n") || "under the pointer: nothing";
}

// --- playing ------------------------------------------------------------------------------------------------------------
function setPlaying(on) {
  playing = on;
  if (about?.live && !on) asking?.abort(); // what it would bring is old when it is asked for
  $("play").textContent = on ? "pause" : "play";
}

async function watch() { // a live source: the next frame is asked for when the last one is on the page
  const seen = { frame: 0, told: 0 };
  for (;;) {
    if ((!playing && !steps) || document.hidden) { await sleep(100); continue; }
    asking = new AbortController();
    try {
      const next = await unpack(await ask(`live?frame=${seen.frame}&state=${seen.told}`, { signal: asking.signal }));
      const state = { ...next.live };
      badge(state.state || "waiting for the first frame", state.state !== "ok");
      seen.told = next.told;
      if (next.parts && (playing || steps)) { // one that came while pausing is not seen
        seen.frame = next.frame;
        steps = Math.max(0, steps - 1);
        show({ ...next, state });
      } else if (!dropped) tellState(state);
    } catch (error) {
      if (error.name === "AbortError") continue;
      badge("the server does not answer", true);
      await sleep(RETRY_MS);
    }
  }
}

async function go(to) { // a list: show the frame at this place
  if (!order.length) return;
  place = Math.min(Math.max(to, 0), order.length - 1);
  $("place").value = place;
  asking?.abort();
  const mine = asking = new AbortController();
  const late = setTimeout(() => badge("working ...", false), 300);
  try {
    const next = await unpack(await ask(`frame/${order[place]}`, { signal: mine.signal }));
    if (mine === asking) { badge("", false); show(next); }
  } catch (error) {
    if (error.name !== "AbortError") { badge("the server does not answer", true); setPlaying(false); }
  }
  clearTimeout(late);
}

async function play() {
  for (;;) {
    const begun = performance.now();
    if (playing && !document.hidden && order.length) {
      if (place + 1 < order.length) await go(place + 1); else setPlaying(false);
    }
    await sleep(Math.max(50, 1000 / about.rate - (performance.now() - begun)));
  }
}

function step(by) {
  setPlaying(false);
  if (about.live) steps = 1; else go(place + by);
}

async function segment(files) {
  const form = new FormData();
  for (const file of files) form.append("file", file, file.name);
  setPlaying(false);
  badge("working ...", false);
  try {
    show(await unpack(await ask("segment", { method: "POST", body: form })), "files");
    badge("dropped files", false);
  } catch (error) {
    badge("", false);
    problem(error.message);
  }
}

// --- filters ------------------------------------------------------------------------------------------------------------
function makeFilters() {
  const filters = Object.entries(about.tags).filter(([, values]) => values.some((own) => own.length));
  for (const [name, values] of filters) {
    const counts = new Map();
    for (const own of values) for (const value of own) counts.set(value, (counts.get(value) || 0) + 1);
    const select = element("select", { name }, element("option", { value: "", textContent: "any" }),
      ...[...counts].sort().map(([value, count]) => element("option", { value, textContent: `${value} (${count})` })));
    $("filters").append(element("label", { className: "wide", textContent: `${name} ` }, select));
  }
  const search = element("input", { type: "search", name: "name", placeholder: "part of it" });
  $("filters").append(element("label", { className: "wide", textContent: "name " }, search));
  $("filters").hidden = !filters.length;
  $("filters").oninput = filter;
}

function filter() {
  const before = order[place];
  const chosen = [...document.querySelectorAll("#filters select")].filter((select) => select.value);
  const part = document.querySelector("#filters input").value;
  const passes = (i) => about.names[i].includes(part)
    && chosen.every((select) => about.tags[select.name][i].includes(select.value));
  order = about.names.map((_, i) => i).filter(passes);
  $("place").max = Math.max(0, order.length - 1);
  problem(order.length ? "" : "no frame passes the filters");
  if (!order.length) $("name").textContent = "0 frames";
  go(Math.max(0, order.indexOf(before)));
}

// --- saving -------------------------------------------------------------------------------------------------------------
function download(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), RETRY_MS);
}

async function save() {
  if (!frame) return;
  const name = frame.name.replace(/[^\w.-]+/g, "_");
  canvas("overlay").toBlob((blob) => download(blob, `${name}_overlay.png`));
  if (frame.mask) download(await indexPng(frame.mask, frame.palette), `${name}_mask.png`);
}

// --- hands --------------------------------------------------------------------------------------------------------------
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const inside = (value) => Math.min(1, Math.max(0, value));

function listen() {
  $("play").onclick = () => setPlaying(!playing);
  $("back").onclick = () => step(-1);
  $("step").onclick = () => step(1);
  $("save").onclick = save;
  $("place").oninput = () => { setPlaying(false); go(+$("place").value); };
  $("opacity").oninput = $("under").oninput = () => frame && blend();
  $("files").onchange = () => segment($("files").files);
  for (const kind of KINDS) {
    canvas(kind).onpointermove = canvas(kind).onpointerdown = (event) => {
      const box = event.target.getBoundingClientRect();
      point = { x: inside((event.clientX - box.left) / box.width), y: inside((event.clientY - box.top) / box.height) };
      tellPoint();
    };
  }
  document.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key], tag = event.target.tagName;
    if (tag === "CANVAS" && arrow) { // moves the pointer
      const by = event.shiftKey ? 10 * STEP : STEP, from = point || { x: 0.5, y: 0.5 };
      point = { x: inside(from.x + by * arrow[0]), y: inside(from.y + by * arrow[1]) };
      tellPoint();
    } else if (["INPUT", "SELECT"].includes(tag) || (tag === "BUTTON" && event.key === " ")) return;
    else if (event.key === " ") setPlaying(!playing);
    else if (event.key === "s") save();
    else if (event.key === "ArrowRight" || (event.key === "ArrowLeft" && !about.live)) step(arrow[0]);
    else return;
    event.preventDefault();
  };
  const over = (on) => (event) => { event.preventDefault(); document.body.classList.toggle("over", on); };
  document.ondragover = over(true);
  document.ondragleave = over(false);
  document.ondrop = (event) => { over(false)(event); segment(event.dataTransfer.files); };
}

async function main() {
  listen();
  about = await (await ask("about")).json();
  $("source").textContent = about.title;
  $("back").hidden = $("seek").hidden = about.live;
  document.querySelector("h1").textContent = about.name;
  document.title = `${about.title} - ${about.name}`;
  if (about.live) return watch();
  setPlaying(false);
  makeFilters();
  filter();
  play();
}

main().catch((error) => problem(`the page could not start: ${error.message}`));
