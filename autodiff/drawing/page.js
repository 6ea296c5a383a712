"use strict";

const { nodes, boxes, loss, arrays } = JSON.parse(document.getElementById("data").textContent);
const byKey = new Map(nodes.map((node) => [node.key, node]));
const root = document.documentElement;
const get = (id) => document.getElementById(id);

// Every node is met once on the way forward, other than numbers that are written as themselves, and once on the way
// back, if a gradient reaches it. The nodes come in the order in which they were computed.
const steps = [
  ...nodes.filter((node) => !node.literal).map((node) => ({ node, phase: "forward" })),
  ...nodes.filter((node) => node.gradient).reverse().map((node) => ({ node, phase: "backward" })),
];
const turn = steps.findIndex((step) => step.phase === "backward");
const places = new Map(steps.map(({ node, phase }, at) => [`${phase} ${node.key}`, at]));
const stepOf = (key, phase) => places.get(`${phase} ${key}`) ?? -1;

// Making elements. Texts are set as text, so nothing in a name or a value is obeyed.

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function math(...runs) {
  const whole = make("span", { class: "math" });
  for (const [text, style] of runs) whole.append(style ? make(style, {}, text) : text);
  return whole;
}

const name = (node) => (node.literal ? [node.name, ""] : [node.name, "i"]);
const derivative = (node) => [["∂", ""], [loss, "i"], ["/∂", ""], name(node)];

function shape({ shape: sizes, batches = 0 }) {
  const own = sizes.slice(batches);
  return [...sizes.slice(0, batches), `(${own.join(", ")}${own.length === 1 ? "," : ""})`].join(" × ");
}

// Numbers

const minus = (text) => text.replace("e-", "e−").replace("e+", "e").replace(/^-/, "−");
const sizeOf = (x) => (Array.isArray(x) ? Math.hypot(...x) : Math.abs(Number(x)));

function written(x, format) {
  // A complex number is the array of its parts.
  if (!Array.isArray(x)) return format(x);
  const [re, im] = x.map(format);
  return `${re}${/^[-−]/.test(im) ? "" : "+"}${im}j`;
}

// A number is written as the user did, if that is short; zeros at the end of another say that it is rounded there.

const isNear = (x, text) => Math.abs(Number(text) - x) <= 1e-12 * Math.abs(x);
const isShort = (x, digits) => Number.isInteger(x) || String(x).replace(/e.*|^-?0\.0*|\D/g, "").length <= digits;

function real(x, own, digits) {
  // With all of its own digits, if they are not more than so many.
  const size = Math.abs(Number(x)), isSmall = size < 1e-4 && size > 0;
  if (typeof x !== "number" || isShort(x, own)) return minus(isSmall ? x.toExponential() : String(x));
  const rounded = size >= 1e6 || isSmall ? x.toExponential(digits - 2) : x.toPrecision(digits);
  return minus(isNear(x, rounded) ? String(Number(rounded)) : rounded);
}

const alone = (x) => written(x, (one) => real(one, 9, 6));  // where there is much room
const briefly = (x) => written(x, (one) => real(one, 5, 5));

function together(values, columns) {
  // Numbers of a table have their points below each other, unless small ones would lose their digits.
  const finite = values.flat().filter((x) => typeof x === "number");
  const sizes = finite.map(Math.abs).filter((size) => size > 0);
  const largest = Math.max(...sizes), smallest = Math.min(...sizes);
  if (sizes.length === 0 || finite.every(Number.isInteger)) return briefly;
  const needed = Math.max(...finite.map((x) => (/\.(\d+)$/.exec(String(x)) ?? ["", ""])[1].length));
  const decimals = Math.min(6, needed, Math.max(0, (columns > 8 ? 3 : 4) - Math.floor(Math.log10(largest))));
  if (largest >= 1e5 || smallest < 10 ** (1 - decimals) / 10) return briefly;
  return (x) => (typeof x === "number" ? aligned(x, decimals) : written(x, (part) => [aligned(part, decimals)].flat()[0]));
}

function aligned(x, decimals) {
  if (typeof x === "string") return x;
  const fixed = x.toFixed(decimals);
  if (!isNear(x, fixed)) return minus(fixed);
  const own = /^(.*?)\.?0*$/.exec(fixed)[1];
  return [minus(own), make("span", { class: "zeros" }, fixed.slice(own.length))];  // which keep their room
}

function heat(element, x, largest) {
  if (!Number.isFinite(sizeOf(x)) || typeof x === "string" || !(largest > 0)) return element;
  element.style.setProperty("--hue", x < 0 ? "var(--minus)" : "var(--plus)");
  element.style.setProperty("--heat", `${Math.round((36 * sizeOf(x)) / largest)}%`);
  return element;
}

const largestOf = (values) => Math.max(0, ...values.map(sizeOf).filter(Number.isFinite));

function cell(tag, x, format, largest) {
  const exact = written(x, String);
  return heat(make(tag, { title: exact, "data-value": exact }, ...[format(x)].flat()), x, largest);
}

function matrix(values, columns, format, largest) {
  const body = make("table");
  for (let at = 0; at < values.length; at += columns) {
    body.append(make("tr", {}, ...values.slice(at, at + columns).map((x) => cell("td", x, format, largest))));
  }
  return make("div", { class: "matrix" }, body);
}

function array(described) {
  if (described.several) return make("div", {}, ...described.several.map((one) => one && array(one)));
  if (described.strip) return make("div", {}, summary(described), rowsOf(described));
  if (!described.values) return make("div", { class: "summary" }, described.dtype);
  const { values, shape: sizes } = described;
  if (sizes.length === 0) return make("div", { class: "scalar" }, cell("span", values[0], alone, 0));
  if (values.length === 0) return make("div", { class: "summary" }, "empty");
  const columns = sizes.at(-1), format = together(values, columns), largest = largestOf(values);
  const each = columns * (sizes.at(-2) ?? 1);
  const all = make("div");
  for (let at = 0; at < values.length; at += each) {
    if (sizes.length > 2) all.append(make("figcaption", {}, `[${at / each}]`));
    all.append(matrix(values.slice(at, at + each), columns, format, largest));
  }
  return all;
}

function summary(described) {
  const figures = make("dl");
  for (const figure of ["mean", "std", "min", "max"]) {
    const of = described.absolute && figure.startsWith("m") && figure !== "mean" ? " |·|" : "";
    figures.append(make("div", {}, make("dt", {}, figure + of), cell("dd", described[figure], briefly, 0)));
  }
  const largest = largestOf(described.strip);
  const what = described.absolute ? "absolute values in " : "";
  const label = `Means of ${what}${described.strip.length} parts, from ${briefly(described.min)} to ${briefly(described.max)}`;
  const strip = make("div", { class: "strip", role: "img", "aria-label": label, title: label });
  strip.append(...described.strip.map((x) => heat(make("span"), x, largest)));
  return make("div", { class: "summary" }, figures, strip);
}

// Rows of a large array: of a table as wide and as high as it needs, what is in sight is made

const ROW = 22, COLUMN = 104;  // wide enough for −0.00012345
const TYPES = {
  f4: Float32Array, f8: Float64Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, u8: BigUint64Array,
  i1: Int8Array, i2: Int16Array, i4: Int32Array, i8: BigInt64Array,
};

function numbersOf(table) {
  table.read ??= new TYPES[table.type](Uint8Array.from(atob(table.numbers), (one) => one.charCodeAt(0)).buffer);
  return table.read;
}

function elementOf(table, at) {
  let x = numbersOf(table)[at];
  // Of 32 bits, the shortest number that is nearest.
  for (let digits = 6; table.type === "f4" && digits < 9; digits++) {
    const short = Number(x.toPrecision(digits));
    if (Math.fround(short) === x) x = short;
  }
  if (typeof x === "bigint" || Number.isFinite(x)) return x;
  return Number.isNaN(x) ? "NaN" : x > 0 ? "∞" : "−∞";
}

function rowsOf(described) {
  const { columns } = arrays[described.rows], sizes = described.shape;
  const all = Math.ceil(sizes.reduce((product, size) => product * size, 1) / columns);
  const text = sizes.length > 1 ? `Look into its ${count(all)} rows` : `Look into its ${count(sizes[0])} numbers`;
  const details = make("details", { class: "rows" }, make("summary", {}, text));
  const open = () => details.open && details.children.length === 1 && details.append(...opened(described, all));
  details.addEventListener("toggle", open);
  return details;
}

function opened(described, all) {
  const table = arrays[described.rows], { columns } = table, sizes = described.shape;
  const parts = described.absolute ? 2 : 1;  // of a complex number
  const width = parts * COLUMN;
  const numbers = numbersOf(table).length / parts, there = Math.ceil(numbers / columns);
  const some = there > 0 ? `The first ${count(there)} of ${count(all)} rows are in this page` : "None of them is in this page";
  const lack = there < all ? [note(`${some}: there is no room for all.`)] : [];
  if (there === 0) return lack;

  const largest = largestOf([described.min, described.max].filter((x) => typeof x === "number"));
  const view = make("div", { class: "view" }), extent = make("div", {}, view);
  const box = make("div", { class: "grid", tabindex: "0", role: "region", "aria-label": "Rows" }, extent);
  const unit = sizes.length > 1 ? 1 : columns;  // a vector is looked into by its numbers
  const place = make("input", { type: "number", min: "0", max: String(unit * there - 1), step: String(unit), value: "0" });
  const side = 16 + 8 * name(there - 1).length;
  extent.style.width = `${side + columns * width}px`;
  extent.style.height = `${(there + 1) * ROW}px`;

  function name(row) {
    const index = [];
    for (const size of sizes.slice(0, -1).reverse()) {
      index.unshift(row % size);
      row = Math.floor(row / size);
    }
    return index.join(", ") || String(row * columns);
  }

  function draw() {
    const rows = Math.max(1, Math.floor(box.clientHeight / ROW) - 1);
    const first = Math.min(Math.ceil(box.scrollTop / ROW), Math.max(0, there - rows)), last = Math.min(first + rows, there);
    const from = Math.ceil(box.scrollLeft / width), to = Math.min(columns, from + Math.ceil((box.clientWidth - side) / width));
    view.style.width = `${box.clientWidth}px`;
    view.style.gridTemplateColumns = `${side}px repeat(${to - from}, ${width}px)`;
    const cells = [make("b")];
    for (let column = from; column < to; column++) cells.push(make("b", {}, `${sizes.length > 1 ? "" : "+"}${column}`));
    for (let row = first; row < last; row++) {
      cells.push(make("b", {}, name(row)));
      for (let at = row * columns + from; at < row * columns + to; at++) {
        const x = parts === 2 ? [elementOf(table, 2 * at), elementOf(table, 2 * at + 1)] : at < numbers && elementOf(table, at);
        cells.push(at < numbers ? cell("span", x, briefly, largest) : make("span"));
      }
    }
    view.replaceChildren(...cells);
    if (document.activeElement !== place) place.value = first * unit;
  }

  box.addEventListener("scroll", draw);
  place.addEventListener("input", () => (box.scrollTop = ROW * Math.floor(Number(place.value) / unit)));
  new ResizeObserver(draw).observe(box);
  const label = make("label", { class: "go" }, unit > 1 ? "Number" : "Row", place, `of ${count(unit > 1 ? numbers : there)}`);
  return [...lack, label, box];
}

const count = (number) => number.toLocaleString("en");

function figure(caption, described, kind = "") {
  const size = described.shape?.length > 0 ? ` ${shape(described)}` : "";
  return make("figure", { class: kind }, make("figcaption", {}, caption, size), array(described));
}

const term = (sign, shown) => make("div", { class: "term" }, make("span", { class: "sign" }, sign), shown);

// What is said of a step

function jump(node, phase, ...content) {
  const button = make("button", { type: "button", class: "link" }, ...content);
  button.addEventListener("click", () => {
    go(stepOf(node.key, phase));
    get("heading").focus();  // the button is gone
  });
  return button;
}

const kinds = { input: "an input", parameter: "a parameter", constant: "a constant" };

function about(node) {
  const facts = [node.kind === "call" ? node.title : kinds[node.kind], ...node.settings];
  if (node.value.shape?.length > 0) facts.push(`shape ${shape(node.value)}`);
  if (node.value.dtype) facts.push(node.value.dtype);
  return make("p", { class: "about" }, facts.join(" · "));
}

const definition = (node) => (node.expression ? [name(node), [" = ", ""], ...node.expression] : [name(node)]);

function inputs(node) {
  const used = [...new Set(node.operands)].map((key) => byKey.get(key)).filter((operand) => !operand.literal);
  if (used.length === 0) return null;
  const row = make("div", { class: "row" }, ...used.map((operand) => figure(math(name(operand)), operand.value)));
  return make("div", { class: "card" }, make("h3", {}, used.length > 1 ? "Inputs" : "Input"), row);
}

function evaluation(node) {
  const value = make("div", { class: "card key" }, make("h3", {}, "Value"));
  value.append(make("div", { class: "row" }, figure(math(name(node)), node.value, "result")));
  return [make("h2", {}, math(...definition(node))), about(node), node.expression ? inputs(node) : null, value];
}

function edgeOf(key, position) {
  return byKey.get(key).edges.find((edge) => edge.position === position);
}

function incoming(node) {
  const card = make("div", { class: node.expression ? "card" : "card key" });
  const row = make("div", { class: "row" });
  const terms = node.arrivals.map(([key, position]) => {
    const from = byKey.get(key);
    const caption = make("span", {}, "from ", jump(from, "backward", math(name(from))));
    return figure(caption, edgeOf(key, position).contribution);
  });
  if (node.output && terms.length > 0) terms.unshift(figure("as an output", unit(node)));
  if (terms.length > 1) {
    row.append(terms[0], ...terms.slice(1).map((one) => term("+", one)));
  }
  const complete = terms.length > 1 || !node.expression;
  const whole = figure(math(...derivative(node)), node.gradient, complete ? "result" : "");
  row.append(terms.length > 1 ? term("=", whole) : whole);
  card.append(make("h3", {}, node.expression ? "Incoming gradient" : "Gradient"), row);
  if (terms.length > 1) card.append(note(`${node.name} has ${terms.length} uses; what comes back from each is added up.`));
  if (terms.length === 1) card.append(make("p", { class: "note" }, "It comes ", terms[0].querySelector("figcaption span")));
  if (node.output && terms.length === 0) card.append(note("The walk back begins here, with 1 for each element."));
  return card;
}

const unit = (node) => ({ ...node.gradient, values: node.gradient.values?.map(() => 1), strip: undefined });
const note = (text) => make("p", { class: "note" }, text);

function outgoing(node, edge) {
  const target = byKey.get(edge.to);
  const card = make("div", { class: "card key" });
  card.append(make("h3", {}, "On to ", jump(target, "backward", math(name(target)))));
  card.append(make("p", { class: "formula" }, math(...edge.formula)));
  const row = make("div", { class: "row" });
  let local = [["∂", ""], name(node), ["/∂", ""], name(target)];
  if (edge.conj) local = [["conj(", ""], ...local, [")", ""]];
  if (edge.derivative) {
    const times = node.gradient.shape.length > 0 ? "⊙" : "·";
    row.append(figure(math(...derivative(node)), node.gradient));
    row.append(term(times, figure(math(...local), edge.derivative)));
    if (edge.product) row.append(term("=", figure("product", edge.product)));
  } else {
    row.append(figure(math(...edge.left, [" = ", ""], ...derivative(node)), node.gradient));
  }
  const many = target.arrivals.length + target.output > 1;
  const purpose = [edge.becomes ?? "", many ? "one part of" : ""].filter(Boolean).join(", ");
  const caption = make("span", {}, purpose, " ", math(...derivative(target)));
  const becomes = edge.derivative && !edge.product ? "=" : edge.product ? "→" : "↦";
  row.append(term(becomes, figure(caption, edge.contribution, "result")));
  card.append(row);
  if (many) card.append(note(`${target.name} has ${target.arrivals.length + target.output} uses; what comes back from each is added up.`));
  return card;
}

function chainRule(node) {
  const parts = [make("h2", {}, math(...derivative(node)))];
  if (!node.expression) {
    return [...parts, about(node), incoming(node)];
  }
  const text = make("p", { class: "about" }, "back through ", math(...definition(node)));
  const given = make("div", { class: "cards" }, incoming(node), inputs(node));
  return [...parts, text, given, ...node.edges.map((edge) => outgoing(node, edge))];
}

const explained = ({ node, phase }) => (phase === "forward" ? evaluation(node) : chainRule(node));

function sentence({ node, phase }) {
  if (phase === "forward") return node.expression ? `${node.name} is computed` : `${node.name} is given`;
  if (!node.expression) return `the gradient of ${node.name} is complete`;
  const targets = [...new Set(node.edges.map((edge) => byKey.get(edge.to).name))];
  const end = targets.slice(-2).join(" and ");
  return `the gradient of ${node.name} goes back to ${[...targets.slice(0, -2), end].join(", ")}`;
}

// The graph

function press(key) {
  pause();
  let node = byKey.get(key);
  if (node.literal) node = nodes.find((one) => one.operands.includes(key));
  const other = steps[current].phase === "forward" ? "backward" : "forward";
  const phase = steps[current].node === node ? other : steps[current].phase;
  const found = stepOf(node.key, phase);
  show(found < 0 ? stepOf(node.key, "forward") : found);
}

// Hover

const tip = get("tip");

get("graph").addEventListener("pointermove", (event) => {
  const key = /^node_(.+)$/.exec(event.target.closest("[id]").id)?.[1];
  if (key) hover(event, byKey.get(key));
  else tip.hidden = true;
});
get("graph").addEventListener("pointerleave", () => (tip.hidden = true));

function hover(event, node) {
  const parts = [make("p", {}, math(...definition(node)))];
  if (node.literal || current >= stepOf(node.key, "forward")) parts.push(figure("value", node.value));
  else parts.push(note("It is not computed yet."));
  if (current >= reached(node)) parts.push(figure(math(...derivative(node)), node.gradient));
  tip.replaceChildren(...parts);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(event.clientX + 16, innerWidth - box.width - 8))}px`;
  tip.style.top = `${Math.max(8, Math.min(event.clientY + 16, innerHeight - box.height - 8))}px`;
}

function reached(node) {
  const at = stepOf(node.key, "backward");
  return at < 0 ? Infinity : at;
}

// Steps

let current = 0;
let timer = null;

function show(at) {
  current = Math.min(Math.max(at, 0), steps.length - 1);
  const step = steps[current];
  root.dataset.phase = step.phase;
  const phase = make("b", {}, step.phase === "forward" ? "evaluation" : "chain rule");
  get("where").replaceChildren(`Step ${current + 1} of ${steps.length} · `, phase, ` · ${sentence(step)}`);
  get("step").replaceChildren(...explained(step).filter((part) => part !== null));
  const heading = get("step").querySelector("h2");
  heading.id = "heading";
  heading.tabIndex = -1;
  get("panel").scrollTop = 0;
  light(step);
  const slider = get("slider");
  slider.value = current;
  slider.setAttribute("aria-valuetext", `Step ${current + 1} of ${steps.length}, ${sentence(step)}`);
  get("first").disabled = get("back").disabled = current === 0;
  get("last").disabled = get("forward").disabled = current === steps.length - 1;
  tip.hidden = true;
}

function light(step) {
  // On the way forward what is not computed yet is dim, and on the way back what no gradient has reached.
  const bright = new Set();
  steps.slice(step.phase === "forward" ? 0 : turn, current + 1).forEach(({ node }) => {
    bright.add(node.key);
    if (step.phase === "backward") (node.edges ?? []).forEach((edge) => bright.add(edge.to));
    else node.operands.forEach((key) => bright.add(key));
  });
  fillUntil(current);
  pane.unmark();
  for (const node of nodes) if (!bright.has(node.key)) pane.mark(node.key, "away");
  for (const edge of usedEdges(step)) pane.mark(edge, "active");
  pane.mark(step.node.key, "current");
  pane.show(step.node.key);
}

const filled = new Map();  // what each node says now

function fillUntil(at) {
  // The way forward fills in values, and the way back gradients, as far as it has come.
  for (const node of nodes.filter((one) => !one.literal)) {
    const value = at >= stepOf(node.key, "forward") ? node.texts.value : null;
    const gradient = at >= reached(node) ? node.texts.gradient : null;
    const before = filled.get(node);
    if (before?.value === value && before?.gradient === gradient) continue;
    filled.set(node, { value, gradient });
    pane.fill(node.key, { value, gradient });
  }
}

function usedEdges({ node, phase }) {
  const all = node.operands.map((key, at) => `${key}_${node.key}_${at + 1}`);
  if (phase === "forward") return all;
  if (!node.expression) return node.arrivals.map(([key, position]) => `${node.key}_${key}_${position}`);
  return node.edges.map((edge) => all[edge.position - 1]);
}

function pause() {
  clearInterval(timer);
  timer = null;
  sayPlaying();
}

function play() {
  if (current === steps.length - 1) show(0);
  timer = setInterval(() => {
    show(current + 1);
    if (current === steps.length - 1) pause();
  }, 1600);
  sayPlaying();
}

function sayPlaying() {
  get("play").setAttribute("aria-label", timer === null ? "Play" : "Pause");
  get("sign").setAttribute("d", timer === null ? "M4.5 3v10l8-5z" : "M4 3h3v10H4zM9 3h3v10H9z");
}

function go(at) {
  pause();
  show(at);
}

const keys = {
  ArrowRight: () => go(current + 1),
  ArrowLeft: () => go(current - 1),
  Home: () => go(0),
  End: () => go(steps.length - 1),
  " ": () => (timer === null ? play() : pause()),
};

document.addEventListener("keydown", (event) => {
  const action = keys[event.key];
  if (!action || event.ctrlKey || event.altKey || event.metaKey) return;
  const own = event.target.closest("button, input, summary, .grid, #divider");  // they know these keys themselves
  if (own && (own.matches("button, summary") ? event.key === " " : own.id !== "slider" || event.key !== " ")) return;
  event.preventDefault();
  action();
});

get("first").addEventListener("click", keys.Home);
get("back").addEventListener("click", keys.ArrowLeft);
get("play").addEventListener("click", keys[" "]);
get("forward").addEventListener("click", keys.ArrowRight);
get("last").addEventListener("click", keys.End);
get("slider").addEventListener("input", (event) => go(Number(event.target.value)));

// The divider between the graph and the panel: beside each other, or on a narrow screen above each other

const divider = get("divider");
const main = divider.parentNode;
const narrow = matchMedia("(max-width: 820px)");
const LEAST = 15, MOST = 85;  // percent that the graph may take
const usual = () => (narrow.matches ? 38 : 32);

function divide(share) {
  share = Math.min(Math.max(share, LEAST), MOST);
  main.style.setProperty("--share", `${share}%`);
  divider.setAttribute("aria-valuenow", Math.round(share));
  divider.setAttribute("aria-orientation", narrow.matches ? "horizontal" : "vertical");
}

function drag(event) {
  if (!divider.hasPointerCapture(event.pointerId)) return;
  const frame = main.getBoundingClientRect();
  const share = narrow.matches ? (event.clientY - frame.top) / frame.height : (event.clientX - frame.left) / frame.width;
  divide(100 * share);
}

divider.addEventListener("pointerdown", (event) => {
  if (event.button === 0) divider.setPointerCapture(event.pointerId);
});
divider.addEventListener("pointermove", drag);
divider.addEventListener("dblclick", () => divide(usual()));
divider.addEventListener("keydown", (event) => {
  const now = Number(divider.getAttribute("aria-valuenow"));
  const to = {
    ArrowLeft: now - 2, ArrowUp: now - 2, ArrowRight: now + 2, ArrowDown: now + 2, Home: LEAST, End: MOST, Enter: usual(),
  }[event.key];
  if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  divide(to);
});
narrow.addEventListener("change", () => divide(usual()));

// Theme, and paper

// In the frame of a notebook that says what its theme is, this page has the same.
const notebook = window.frameElement?.ownerDocument.querySelector("[data-jp-theme-light]");
if (notebook) root.dataset.theme = notebook.dataset.jpThemeLight === "false" ? "dark" : "light";
const theme = get("theme");
const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const nameTheme = () => (theme.textContent = isDark() ? "Light" : "Dark");

theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  nameTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", nameTheme);

addEventListener("beforeprint", () => {
  const articles = steps.map((step) => make("article", {}, ...explained(step).filter((part) => part !== null)));
  get("all").replaceChildren(...articles);
});
addEventListener("afterprint", () => get("all").replaceChildren());

const pane = graphPane(get("graph"), { nodes, boxes });
pane.onselect = press;
get("slider").max = steps.length - 1;
get("evaluation").style.flex = turn;
get("chain").style.flex = steps.length - turn;
nameTheme();
sayPlaying();
show(0);
divider.setAttribute("aria-valuemin", LEAST);
divider.setAttribute("aria-valuemax", MOST);
divide(usual());
pane.fit();  // at first all of it is seen
