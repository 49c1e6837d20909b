"""The HTML of the page of `pick`. No library, no network: it works from a file, over ssh by copying that one file."""

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Pick point pairs: rgb and thermal</title>
<style>
  body { font: 14px sans-serif; margin: 8px; background: #222; color: #eee; }
  #views { display: flex; gap: 8px; }
  .view { position: relative; flex: 1; min-width: 0; outline: 3px solid transparent; }
  .view.next { outline-color: #ff0; }
  .view img { width: 100%; display: block; cursor: crosshair; image-rendering: pixelated; }
  .dot { position: absolute; width: 0; height: 0; pointer-events: none; }
  .dot::before, .dot::after { content: ""; position: absolute; background: #f0f; }
  .dot::before { width: 15px; height: 1px; left: -7px; }
  .dot::after { width: 1px; height: 15px; top: -7px; }
  .dot span { position: absolute; left: 5px; top: 3px; color: #f0f; text-shadow: 0 0 2px #000; font-weight: bold; }
  .bar { margin: 8px 0; display: flex; gap: 10px; align-items: center; flex-wrap: wrap; }
  button, select { font: inherit; padding: 3px 10px; }
  canvas { border: 1px solid #888; background: #000; }
  table { border-collapse: collapse; } td, th { border: 1px solid #666; padding: 2px 8px; text-align: right; }
  .below { display: flex; gap: 16px; }
</style>
</head>
<body>
<div class="bar">
  <b>Click the same spot in both pictures.</b>
  <span>Corners of things at the distance that matters; spread over the whole picture; 8 pairs or more.</span>
  <label>Frame <select id="frame"></select></label>
  <button id="undo">Undo (u)</button>
  <button id="save">Download points.csv</button>
  <span id="status"></span>
</div>
<div id="views">
  <div class="view" id="view-rgb"><img id="img-rgb" alt="colour frame" draggable="false"></div>
  <div class="view" id="view-thermal"><img id="img-thermal" alt="thermal frame" draggable="false"></div>
</div>
<div class="below">
  <div><p>Lens</p><canvas id="lens" width="264" height="264"></canvas></div>
  <div><p>Points</p><table><thead><tr><th>#</th><th>frame</th><th>rgb x</th><th>rgb y</th><th>thermal x</th>
  <th>thermal y</th><th></th></tr></thead><tbody id="list"></tbody></table></div>
</div>
<script>
"use strict";
const FRAMES = /*FRAMES*/[];
const KINDS = ["rgb", "thermal"];
const HEADER = "rgb_x,rgb_y,thermal_x,thermal_y";
const ZOOM = 8;
const points = [];   // finished: {frame, rgb: [x, y], thermal: [x, y]}
let pending = {};    // the pair being picked
let frame = 0;
const byId = (name) => document.getElementById(name);
const image = (kind) => byId("img-" + kind);

/* Integer coordinates are pixel centres, as in the registration. */
function toPixel(clientX, clientY, box, width, height) {
  return [(clientX - box.left) / box.width * width - 0.5, (clientY - box.top) / box.height * height - 0.5];
}
function at(event, kind) {
  const img = image(kind);
  return toPixel(event.clientX, event.clientY, img.getBoundingClientRect(), img.naturalWidth, img.naturalHeight);
}
function toCsv(pairs) {
  const row = (p) => [...p.rgb, ...p.thermal].map((v) => v.toFixed(2)).join(",");
  return [HEADER, ...pairs.map(row)].join("\\n") + "\\n";
}
function nextKind() {
  if (!pending.rgb === !pending.thermal) return null;
  return pending.rgb ? "thermal" : "rgb";
}

function pick(kind, spot) {
  pending[kind] = spot;   // a second click on the same picture moves the point
  if (pending.rgb && pending.thermal) {
    points.push({ frame: frame, rgb: pending.rgb, thermal: pending.thermal });
    pending = {};
  }
  draw();
}
function undo() {
  if (pending.rgb || pending.thermal) pending = {};
  else points.pop();
  draw();
}
function show(index) {
  frame = index;
  pending = {};
  for (const kind of KINDS) image(kind).src = FRAMES[index][kind];
  draw();
}
function dot(kind, spot, text) {
  const img = image(kind);
  if (!img.naturalWidth) return;
  const mark = document.createElement("div");
  mark.className = "dot";
  mark.style.left = (spot[0] + 0.5) / img.naturalWidth * 100 + "%";
  mark.style.top = (spot[1] + 0.5) / img.naturalHeight * 100 + "%";
  const label = document.createElement("span");
  label.textContent = text;
  mark.append(label);
  byId("view-" + kind).append(mark);
}
function draw() {
  for (const mark of document.querySelectorAll(".dot")) mark.remove();
  const list = byId("list");
  list.textContent = "";
  points.forEach((point, index) => {
    if (point.frame === frame) for (const kind of KINDS) dot(kind, point[kind], String(index + 1));
    const line = list.insertRow();
    const texts = [index + 1, FRAMES[point.frame].name, ...[...point.rgb, ...point.thermal].map((v) => v.toFixed(1))];
    for (const text of texts) line.insertCell().textContent = text;
    const remove = document.createElement("button");
    remove.textContent = "delete";
    remove.onclick = () => { points.splice(index, 1); draw(); };
    line.insertCell().append(remove);
  });
  for (const kind of KINDS) {
    if (pending[kind]) dot(kind, pending[kind], "?");
    byId("view-" + kind).classList.toggle("next", nextKind() === kind);
  }
  const next = nextKind();
  const hint = next ? "; now the same spot in the " + next + " picture" : "";
  byId("status").textContent = points.length + " pairs" + hint;
}
function lens(event, kind) {
  const canvas = byId("lens"), context = canvas.getContext && canvas.getContext("2d");
  if (!context) return;
  const [x, y] = at(event, kind), side = canvas.width / ZOOM, middle = canvas.width / 2;
  context.imageSmoothingEnabled = false;
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image(kind), x + 0.5 - side / 2, y + 0.5 - side / 2, side, side, 0, 0, canvas.width, canvas.height);
  context.strokeStyle = "#ff0";
  context.beginPath();
  context.moveTo(middle, 0); context.lineTo(middle, canvas.height);
  context.moveTo(0, middle); context.lineTo(canvas.width, middle);
  context.stroke();
}
function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([toCsv(points)], { type: "text/csv" }));
  link.download = "points.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

FRAMES.forEach((one, index) => byId("frame").append(new Option(one.name, String(index))));
byId("frame").onchange = (event) => show(Number(event.target.value));
byId("undo").onclick = undo;
byId("save").onclick = save;
document.addEventListener("keydown", (event) => { if (event.key === "u") undo(); });
window.addEventListener("beforeunload", (event) => { if (points.length) event.preventDefault(); });
for (const kind of KINDS) {
  image(kind).addEventListener("load", draw);
  image(kind).addEventListener("click", (event) => pick(kind, at(event, kind)));
  image(kind).addEventListener("mousemove", (event) => lens(event, kind));
}
show(0);
</script>
</body>
</html>
"""
