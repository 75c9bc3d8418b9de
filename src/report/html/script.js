"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/** Makes an element. Text is text: names from images never become HTML. */
function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** Bytes as in every report: three digits and a decimal unit. */
function bytes(count) {
  if (count < 0) return "-" + bytes(-count);
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  let unit = 0;
  while (count >= 999.5 && unit + 1 < units.length) { count /= 1000; unit += 1; }
  const digits = unit === 0 ? 0 : count < 9.995 ? 2 : count < 99.95 ? 1 : 0;
  return count.toFixed(digits) + " " + units[unit];
}

const count = (number) => number.toLocaleString("en");
const percent = (part, whole) => whole > 0 ? (part * 100 / whole).toFixed(1) + " %" : "";

// The largest components have colours of their own.
const COLOURS = 11;
const colour = (component) => "var(--c" + Math.min(component, COLOURS) + ")";
const pale = (component) => "color-mix(in srgb, " + colour(component) + " 45%, var(--card))";
const componentNumbers = new Map((data.tree ? data.tree.components : []).map((component, number) => [component.name, number]));

function swatch(component) {
  const mark = make("span", "", "swatch");
  mark.style.background = colour(component);
  return mark;
}

// What stands above the pictures.

document.title = data.title + " - winslim";
byId("title").textContent = data.title;
byId("lines").append(...data.lines.map((line) => make("p", line)));
for (const tile of data.tiles) {
  const box = make("div", undefined, "tile");
  box.append(make("p", tile.label), make("p", typeof tile.value === "number" ? count(tile.value) : tile.value, "value"), make("p", tile.note));
  byId("tiles").append(box);
}
byId("warnings").hidden = data.warnings.length === 0;
byId("warnings").append(...data.warnings.map((warning) => make("p", warning)));

// Bars.

function drawBars() {
  const total = (bar) => bar.parts.reduce((sum, part) => sum + part.size, 0);
  const longest = Math.max(1, ...data.bars.map(total));
  byId("bars").hidden = data.bars.length === 0;
  for (const bar of data.bars) {
    const row = make("div", undefined, "bar-row");
    const strip = make("div", undefined, "bar");
    bar.parts.forEach((part, number) => {
      const text = part.label + ", " + bytes(part.size) + (part.dead > 0 ? " (" + bytes(part.dead) + " dead)" : "");
      const piece = make("span", text);
      piece.title = text;
      piece.style.width = part.size * 100 / longest + "%";
      if (number % 2 === 1) piece.className = "odd";
      if (part.dead > 0) {
        const dead = make("span", "", "dead");
        dead.style.width = part.dead * 100 / part.size + "%";
        piece.append(dead);
      }
      strip.append(piece);
    });
    row.append(make("span", bar.label), strip, make("span", bytes(total(bar))));
    byId("bars").append(row);
  }
}

// Tables.

const ROWS_AT_FIRST = 25;
const isNumber = (kind) => kind === "count" || kind === "bytes" || kind === "bar";

function cell(value, column, largest) {
  const element = make("td", undefined, column.minor ? "minor" : "");
  if (isNumber(column.kind)) {
    element.classList.add("number");
    element.textContent = column.kind === "count" ? count(value) : value === 0 ? "-" : bytes(value);
    if (column.kind === "bar") {
      element.classList.add("with-bar");
      element.style.setProperty("--share", value * 100 / Math.max(1, largest) + "%");
    }
  } else if (column.kind === "component") {
    element.classList.add("named");
    element.append(swatch(componentNumbers.has(value) ? componentNumbers.get(value) : COLOURS), make("span", value));
  } else {
    element.classList.add(column.kind === "path" ? "path" : value.length > 30 ? "long" : "word");
    element.textContent = value;
  }
  return element;
}

function drawTable(table, number) {
  const box = make("div", undefined, "table");
  const title = make("h2", table.title);
  title.id = "table-" + number;
  const scroll = make("div", undefined, "scroll");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-labelledby", title.id);
  const grid = make("table");
  const head = make("tr");
  const body = make("tbody");
  const more = make("button", "", "link more");
  let shown = ROWS_AT_FIRST;
  const largest = table.columns.map((_, at) => table.rows.reduce((most, row) => Math.max(most, row[at] || 0), 0));

  function fill() {
    body.replaceChildren(...table.rows.slice(0, shown).map((row) => {
      const line = make("tr");
      line.append(...row.map((value, at) => cell(value, table.columns[at], largest[at])));
      return line;
    }));
    more.hidden = table.rows.length <= shown;
    more.textContent = "Show all " + count(table.rows.length) + " rows";
  }

  function sort(at, header) {
    const number = isNumber(table.columns[at].kind);
    const before = header.getAttribute("aria-sort");
    const down = before === "none" ? number : before === "ascending";
    for (const other of head.children) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const compare = number ? (a, b) => a[at] - b[at] : (a, b) => a[at].localeCompare(b[at], "en");
    table.rows.sort((a, b) => down ? compare(b, a) : compare(a, b));
    fill();
  }

  table.columns.forEach((column, at) => {
    const header = make("th", undefined, (column.minor ? "minor " : "") + (isNumber(column.kind) ? "number" : ""));
    header.scope = "col";
    header.setAttribute("aria-sort", "none");
    const button = make("button", column.label);
    button.addEventListener("click", () => sort(at, header));
    header.append(button);
    head.append(header);
  });
  more.addEventListener("click", () => { shown = table.rows.length; fill(); });
  const top = make("thead");
  top.append(head);
  grid.append(top, body);
  scroll.append(grid);
  box.append(title);
  if (table.note) box.append(make("p", table.note, "note"));
  box.append(scroll, more);
  byId("tables").append(box);
  fill();
}

// The tree and its picture.

const DIRECTORY = 0, FILE = 1, REST = 2;
let nodes = [];
let current = null;
let measure = "compressed";

function readTree(tree) {
  nodes = tree.nodes.map(([name, parent, kind, compressed, unpacked, dead, files, component]) =>
    ({ name, parent, kind, compressed, unpacked, dead, files, component, children: [] }));
  nodes.forEach((node, at) => {
    node.parent = at === 0 ? null : nodes[node.parent];
    if (node.parent) node.parent.children.push(node);
    if (node.kind === REST) node.name = node.files > 0 ? count(node.files) + " smaller files" : "the rest";
  });
}

/** The directories from the root down to a node. */
function way(node) {
  const up = [];
  for (let at = node; at; at = at.parent) up.push(at);
  return up.reverse();
}

function pathOf(node) {
  const names = way(node).slice(1).map((part) => part.name);
  return names.length === 0 ? "whole image" : names.length === 1 && node.kind === DIRECTORY ? names[0] + "\\" : names.join("\\");
}

const bySize = (node) => [...node.children].sort((a, b) => b[measure] - a[measure]);

/** Rectangles of about square shape, of the sizes of the items, which come the largest first (Bruls, Huizing, van Wijk). */
function squarify(items, x, y, width, height) {
  const total = items.reduce((sum, item) => sum + item[measure], 0);
  const scale = total > 0 ? width * height / total : 0;
  const placed = [];
  let at = 0;
  while (at < items.length && width > 1 && height > 1) {
    const side = Math.min(width, height);
    const largest = items[at][measure] * scale;
    let end = at, area = 0, worst = Infinity;
    for (; end < items.length; end += 1) {
      const smallest = items[end][measure] * scale;
      if (smallest <= 0) break;
      const sum = area + smallest;
      const ratio = Math.max(side * side * largest / (sum * sum), sum * sum / (side * side * smallest));
      if (ratio > worst) break;
      worst = ratio;
      area = sum;
    }
    if (end === at) break;
    const thick = area / side;
    let offset = 0;
    for (; at < end; at += 1) {
      const length = items[at][measure] * scale / thick;
      const [left, top, w, h] = width >= height ? [x, y + offset, thick, length] : [x + offset, y, length, thick];
      placed.push({ node: items[at], left: Math.round(left), top: Math.round(top), right: Math.round(left + w), bottom: Math.round(top + h) });
      offset += length;
    }
    if (width >= height) { x += thick; width -= thick; } else { y += thick; height -= thick; }
  }
  return placed;
}

const LABEL = 18, LEVELS = 2, SMALLEST = 5;

function describe(node) {
  const share = percent(node[measure], nodes[0][measure]);
  const dead = node.dead > 0 ? ", " + bytes(node.dead) + " dead" : "";
  const files = node.kind === DIRECTORY ? ", " + count(node.files) + " files" : "";
  const component = data.tree.components[node.component];
  const part = !component || node.kind !== FILE ? "" : ", " + component.name + (component.meaning ? " (" + component.meaning + ")" : "");
  return pathOf(node) + ": " + bytes(node.compressed) + " compressed, " + bytes(node.unpacked) + " unpacked, " + share + " of the image" + files + dead + part;
}

function drawCells(items, x, y, width, height, level, into) {
  for (const { node, left, top, right, bottom } of squarify(items, x, y, width, height)) {
    const w = right - left, h = bottom - top;
    if (w < SMALLEST || h < SMALLEST) continue;
    const nested = node.kind === DIRECTORY && level <= LEVELS && w > 56 && h > 46 && node.children.some((child) => child[measure] > 0);
    const button = make("button", undefined, nested ? "group" : "");
    Object.assign(button.style, { left: left + "px", top: top + "px", width: w + "px", height: h + "px" });
    // What is too small to be drawn in a directory has a pale colour of most of it.
    button.style.background = nested ? "linear-gradient(var(--card) " + LABEL + "px, " + pale(node.component) + " 0)" : colour(node.component);
    if (w > 40 && h >= 16) button.append(make("span", node.name + (nested ? "  " + bytes(node[measure]) : "")));
    if (!nested && w > 52 && h > 36) button.append(make("span", bytes(node[measure]), "size"));
    if (!nested && node.dead > 0 && measure === "compressed") {
      const dead = make("span", "", "dead");
      dead.style.width = Math.min(100, node.dead * 100 / node.compressed) + "%";
      button.append(dead);
    }
    button.setAttribute("aria-label", describe(node));
    button.tabIndex = -1;
    button.node = node;
    into.append(button);
    // A directory that is nearly all of what is around it takes no level of its own.
    const below = w * h > 0.8 * width * height ? level : level + 1;
    if (nested) drawCells(bySize(node), left + 2, top + LABEL, w - 4, h - LABEL - 2, below, into);
  }
}

function draw() {
  const box = byId("cells");
  const cells = document.createDocumentFragment();
  drawCells(bySize(current), 0, 0, box.clientWidth, box.clientHeight, 1, cells);
  box.style.background = pale(current.component);
  box.replaceChildren(cells);
  if (box.firstChild) box.firstChild.tabIndex = 0;
  byId("crumbs").replaceChildren(...way(current).map((node) => {
    const button = make("button", node.parent ? node.name : "whole image");
    if (node === current) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => open(node));
    return button;
  }));
  byId("detail").textContent = describe(current);
  byId("list-measure").textContent = measure === "compressed" ? "Compressed" : "Unpacked";
  drawList();
}

function open(node) {
  const from = current;
  current = node.kind === DIRECTORY ? node : node.parent;
  byId("search").value = "";
  const hadFocus = byId("cells").contains(document.activeElement);
  draw();
  if (!hadFocus) return;
  const cells = [...byId("cells").children];
  focusCell(cells.find((button) => way(from).includes(button.node) && !way(current).includes(button.node)) || cells[0]);
}

const goUp = () => { if (current.parent) open(current.parent); };

function focusCell(button) {
  if (!button) return;
  for (const other of byId("cells").querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
  button.tabIndex = 0;
  button.focus();
}

/** The nearest cell in a direction: by its middle, and a step aside counts double. */
function neighbour(from, dx, dy) {
  const middle = (button) => [button.offsetLeft + button.offsetWidth / 2, button.offsetTop + button.offsetHeight / 2];
  const [x, y] = middle(from);
  let best = null, least = Infinity;
  for (const button of byId("cells").children) {
    const [bx, by] = middle(button);
    const ahead = (bx - x) * dx + (by - y) * dy;
    const aside = Math.abs((bx - x) * dy) + Math.abs((by - y) * dx);
    if (ahead >= 1 && ahead + 2 * aside < least) { best = button; least = ahead + 2 * aside; }
  }
  return best;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function startMap() {
  readTree(data.tree);
  byId("map").hidden = false;
  // Nearly everything is in C:\Windows: the picture starts where it has something to compare.
  current = nodes[0];
  for (let next = current; next; next = current.children.find((node) => node.kind === DIRECTORY && node.compressed > 0.95 * current.compressed)) current = next;
  const box = byId("cells");
  const cellOf = (event) => event.target.closest("#cells > button");
  box.addEventListener("click", (event) => { if (cellOf(event)) open(cellOf(event).node); });
  for (const kind of ["mouseover", "focusin"]) {
    box.addEventListener(kind, (event) => { if (cellOf(event)) byId("detail").textContent = describe(cellOf(event).node); });
  }
  box.addEventListener("mouseleave", () => { byId("detail").textContent = describe(current); });
  box.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (event.key === "Escape" || event.key === "Backspace") goUp();
    else if (arrow && cellOf(event)) focusCell(neighbour(cellOf(event), ...arrow));
    else return;
    event.preventDefault();
  });
  for (const input of document.getElementsByName("measure")) {
    input.addEventListener("change", () => { measure = input.value; draw(); });
  }
  byId("search").addEventListener("input", drawList);
  byId("search").addEventListener("keydown", (event) => { if (event.key === "Escape") { event.target.value = ""; drawList(); } });
  const components = data.tree.components;
  byId("legend").append(...components.slice(0, COLOURS + 1).map((component, number) => {
    const item = make("li");
    item.append(swatch(number), make("span", number < COLOURS ? component.name : "all others"));
    return item;
  }));
  let width = 0;
  new ResizeObserver(() => { if (box.clientWidth !== width) { width = box.clientWidth; draw(); } }).observe(box);
}

// The list beside the picture: what is in the directory, or what was searched for.

const MOST_LISTED = 200;
let names = null;

function search(words) {
  names = names || nodes.map((node) => node.parent && node.kind !== REST ? pathOf(node).toLowerCase() : "");
  const found = nodes.filter((_, at) => words.every((word) => names[at].includes(word)));
  return found.sort((a, b) => b[measure] - a[measure]);
}

function drawList() {
  const query = byId("search").value.trim().toLowerCase().replaceAll("/", "\\");
  const items = query ? search(query.split(/\s+/)) : bySize(current);
  byId("list-title").textContent = query ? count(items.length) + " of the names in this page match" : "In " + pathOf(current);
  byId("list-rows").replaceChildren(...items.slice(0, MOST_LISTED).map((node) => {
    const row = make("tr");
    const name = make("td");
    const line = make("div", undefined, "name");
    const label = make(node.kind === DIRECTORY || query ? "button" : "span", query ? pathOf(node) : node.name);
    if (label.tagName === "BUTTON") {
      label.className = "link";
      label.addEventListener("click", () => open(node));
    }
    line.append(swatch(node.component), label);
    name.append(line);
    row.append(name, make("td", bytes(node[measure]), "number"), make("td", percent(node[measure], nodes[0][measure]), "number"));
    return row;
  }));
  if (items.length > MOST_LISTED) {
    const row = make("tr");
    row.append(make("td", "and " + count(items.length - MOST_LISTED) + " more"));
    byId("list-rows").append(row);
  }
}

drawBars();
data.tables.filter((table) => table.rows.length > 0).forEach(drawTable);
if (data.tree) startMap();
