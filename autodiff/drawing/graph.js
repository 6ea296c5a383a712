"use strict";

// Where the elements of a layered graph stand, and by which points its links go from one to the next.
//
// Elements have a width and a height and are given x and y of their middles. Of the ports of a box, those whose `end`
// is its top come before all else, and those of the bottom after; a `leaf` uses nothing. Links lead `from` one element
// `to` another, at distances `fromDx` and `toDx` from their middles; those with one `trunk` share their way until they
// part. They are given `points`, between which they are curves that begin and end upright.
function layered(elements, links) {
  const GAP = 22, LANE = 12;
  for (const element of elements) Object.assign(element, { ins: [], outs: [], layer: element.end === "top" ? 0 : 1 });
  for (const link of links) {
    link.from.outs.push(link);
    link.to.ins.push(link);
  }

  // Each element is below all that it uses. Where modules use each other in a circle, one of them comes first.
  const waiting = new Map(elements.map((element) => [element, element.ins.length]));
  const ready = elements.filter((element) => element.ins.length === 0).reverse();
  const order = [];
  for (let next = 0; order.length < elements.length;) {
    let element = ready.pop();
    if (!element) {
      while (!waiting.has(elements[next])) next += 1;
      element = elements[next];
    }
    if (!waiting.delete(element)) continue;
    order.push(element);
    for (const { to } of element.outs) {
      if (!waiting.has(to)) continue;
      to.layer = Math.max(to.layer, element.layer + 1);
      waiting.set(to, waiting.get(to) - 1);
      if (waiting.get(to) === 0) ready.push(to);
    }
  }
  const deepest = order.reduce((most, { layer }) => Math.max(most, layer), 0);
  for (const element of order) if (element.end === "bottom") element.layer = deepest + 1;
  // What is made of leaves alone, or of what many others use too, stands just above its first use: that is shorter.
  const reach = ({ from }) => (from.leaf && from.outs.length === 1 ? 0 : 1 / from.outs.length);
  for (const element of order.toReversed()) {
    const later = element.outs.map(({ to }) => to.layer).filter((layer) => layer > element.layer);
    if (element.end !== "top" && later.length > 0 && element.ins.reduce((sum, link) => sum + reach(link), 0) < 1) {
      element.layer = later.reduce((least, layer) => Math.min(least, layer)) - 1;
    }
  }
  const used = [...new Set(elements.map(({ layer }) => layer))].sort((a, b) => a - b);
  const numbers = new Map(used.map((layer, number) => [layer, number]));
  for (const element of elements) element.layer = numbers.get(element.layer);
  const rows = used.map(() => []);

  // A link that passes other layers has a cell in each. Very many cells, of links that are very long, are left out.
  const cells = elements.map((element) => Object.assign(element, { ups: [], downs: [] }));
  const join = (up, down, upDx, downDx, weight) => {
    const segment = { up, down, upDx, downDx, weight };
    up.downs.push(segment);
    down.ups.push(segment);
  };
  const trunks = new Map();
  for (const link of links) {
    if (!trunks.has(link.from)) trunks.set(link.from, new Map());
    const own = trunks.get(link.from);
    if (!own.has(link.trunk)) own.set(link.trunk, []);
    own.get(link.trunk).push(link);
  }
  const bundles = [...trunks.values()].flatMap((own) => [...own.values()]);
  const lengthOf = ({ from, to }) => to.layer - from.layer - 1;
  let left = 4000 + 8 * elements.length;
  const long = new Set();
  for (const link of links.toSorted((a, b) => lengthOf(a) - lengthOf(b))) {
    left -= Math.max(0, lengthOf(link));
    if (left < 0) long.add(link);
  }
  for (const bundle of bundles) {
    const { from } = bundle[0];
    const trunk = [];
    for (const link of bundle) {
      const between = lengthOf(link);
      if (between < 0 || long.has(link)) continue;
      while (trunk.length < between) {
        const cell = { w: 2, h: 0, lane: true, layer: from.layer + trunk.length + 1, ups: [], downs: [] };
        cells.push(cell);
        if (trunk.length === 0) join(from, cell, link.fromDx, 0, from.leaf ? 0.02 : 2);
        else join(trunk.at(-1), cell, 0, 0, 8);
        trunk.push(cell);
      }
      const last = between > 0 ? trunk[between - 1] : from;
      join(last, link.to, between > 0 ? 0 : link.fromDx, link.toDx, from.leaf ? 0.02 : between > 0 ? 2 : 8);
      link.way = trunk.slice(0, between);
    }
  }

  // The first order is that of the operands; what is used comes before.
  const met = new Set();
  for (const root of cells.filter(({ downs }) => downs.length === 0)) {
    const pending = [[root, 0]];
    met.add(root);
    while (pending.length > 0) {
      const top = pending.at(-1);
      const segment = top[0].ups[top[1]++];
      if (!segment) {
        rows[top[0].layer].push(top[0]);
        pending.pop();
      } else if (!met.has(segment.up)) {
        met.add(segment.up);
        pending.push([segment.up, 0]);
      }
    }
  }
  for (const cell of cells) if (!met.has(cell)) rows[cell.layer].push(cell);  // those of circles

  // Cells move to where their neighbours are, in order, with room between them: the least squares, by pooling.
  function wish(cell, sides) {
    let sum = 0, pull = 0;
    for (const { up, down, upDx, downDx, weight } of sides.flatMap((side) => cell[side])) {
      sum += weight * (up === cell ? down.x + downDx - upDx : up.x + upDx - downDx);
      pull += weight;
    }
    cell.wish = pull > 0 ? sum / pull : cell.x;
    cell.pull = pull > 0 ? pull : 0.01;
  }
  const apart = (a, b) => (a.w + b.w) / 2 + (a.lane || b.lane ? LANE : GAP);
  function settle(row) {
    const blocks = [];
    let offset = 0;
    row.forEach((cell, at) => {
      if (at > 0) offset += apart(row[at - 1], cell);
      cell.offset = offset;
      let block = { sum: cell.pull * (cell.wish - offset), pull: cell.pull, from: at };
      while (blocks.length > 0 && blocks.at(-1).sum / blocks.at(-1).pull >= block.sum / block.pull) {
        const before = blocks.pop();
        block = { sum: before.sum + block.sum, pull: before.pull + block.pull, from: before.from };
      }
      blocks.push(block);
    });
    blocks.forEach(({ sum, pull, from }, at) => {
      const to = blocks[at + 1]?.from ?? row.length;
      for (const cell of row.slice(from, to)) cell.x = sum / pull + cell.offset;
    });
  }
  for (const row of rows) {
    row.forEach((cell, at) => (cell.x = at === 0 ? 0 : row[at - 1].x + apart(row[at - 1], cell)));
    const middle = row.at(-1).x / 2;
    for (const cell of row) cell.x -= middle;
  }
  const rounds = cells.length > 4000 ? 6 : 16;
  for (let round = 0; round < rounds; round += 1) {
    const side = round % 2 === 0 ? "ups" : "downs", other = round % 2 === 0 ? "downs" : "ups";
    for (const row of round % 2 === 0 ? rows : rows.toReversed()) {
      for (const cell of row) wish(cell, [cell[side].length > 0 ? side : other]);
      row.sort((a, b) => a.wish - b.wish);
      settle(row);
    }
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const row of round % 2 === 0 ? rows : rows.toReversed()) {
      for (const cell of row) wish(cell, ["ups", "downs"]);
      settle(row);
    }
  }

  // Layers are further apart where links run aslant.
  let y = 0;
  const levels = rows.map((row, number) => {
    const height = row.reduce((most, { h }) => Math.max(most, h), 0);
    const slant = (at, { up, upDx, downDx }) => Math.abs(up.x + upDx - at.x - downDx);
    const aslant = row.reduce((most, cell) => cell.ups.reduce((far, one) => Math.max(far, slant(cell, one)), most), 0);
    const isAtEnd = row[0].end === "bottom" || rows[number - 1]?.[0].end === "top";
    if (number > 0) y += (isAtEnd ? 8 : 25) + Math.min(60, aslant / 12);
    const level = { top: y, bottom: y + height };
    y += height;
    for (const cell of row) cell.y = cell.leaf ? level.bottom - cell.h / 2 : level.top + height / 2;
    return level;
  });
  for (const link of links) {
    const { from, to } = link;
    const points = [[from.x + link.fromDx, from.y + from.h / 2]];
    if (to.layer > from.layer) points.push([from.x + link.fromDx, levels[from.layer].bottom]);
    for (const { x, layer } of link.way ?? []) points.push([x, levels[layer].top], [x, levels[layer].bottom]);
    const end = to.x + link.toDx;
    if (to.layer > from.layer) points.push([end, levels[to.layer].top]);
    points.push([end, to.y - to.h / 2]);
    link.points = points;
  }
}

// A graph that can be dragged, zoomed and searched, and whose boxes are closed and opened by a click.
//
// The nodes are those of the page's data, each with the key of the innermost of the boxes that it is in. What stands in
// a node is its title, its name, what sets it apart, and lines for `value` and `gradient`, which `fill` writes and
// which are wide enough for the node's `texts`. Nodes are known by their keys, and the edge from n1 to the second
// operand of n3 as n1_n3_2; what is told of those in a closed box is shown at the box. The caller sets `onselect(key)`,
// for when a node is pressed.
function graphPane(element, { nodes, boxes = [] }) {
  const AT_FIRST = 40;  // items that are shown before anything is opened
  const READABLE = 0.9;  // the scale at which a step is followed
  const LEAST = 0.4;  // the least scale of what is shown whole at first
  const FAR = 0.3, MANY = 300;  // the scale below which the nodes of a large graph are not drawn one by one
  const TITLE = "600 12px system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif";
  const TEXT = "11px system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif";
  const pane = { fit, show, mark, unmark, fill, onselect: () => {} };

  const svg = (tag, attributes = {}, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  // Widths are added up from those of the characters: thousands of texts are measured.
  const ruler = document.createElement("canvas").getContext("2d");
  const advances = new Map([[TITLE, new Map()], [TEXT, new Map()]]);
  function widthOf(text, font) {
    let width = 0;
    for (const character of text) {
      let advance = advances.get(font).get(character);
      if (advance === undefined) {
        ruler.font = font;
        advance = ruler.measureText(character).width;
        advances.get(font).set(character, advance);
      }
      width += advance;
    }
    return width;
  }
  function shortened(text, font, most) {
    if (widthOf(text, font) <= most) return text;
    let length = text.length;
    while (length > 1 && widthOf(`${text.slice(0, length)}…`, font) > most) length -= 1;
    return `${text.slice(0, length)}…`;
  }

  const counted = (number) => `${count(number)} ${number === 1 ? "node" : "nodes"}`;

  // Items: nodes, and boxes of items

  const root = { key: "", children: [], open: true, depth: 0 };
  const items = new Map();
  for (const box of boxes) items.set(box.key, { key: box.key, box, children: [], open: false, count: 0 });
  for (const node of nodes) {
    items.set(node.key, { key: node.key, node, leaf: node.operands.length === 0, ...measured(node) });
  }
  for (const item of items.values()) {
    item.parent = items.get(item.box ? item.box.parent : item.node.box) ?? root;
    item.parent.children.push(item);
  }
  for (const item of items.values()) {
    item.depth = 1;
    for (let up = item.parent; up !== root; up = up.parent) {
      item.depth += 1;
      up.count += item.node ? 1 : 0;
      up.output ||= Boolean(item.node?.output);
    }
  }
  for (const item of items.values()) if (item.box) Object.assign(item, closedSize(item));

  function measured(node) {
    const called = node.kind === "call" ? node.title : node.name;
    const name = node.kind === "call" ? node.name : "";
    const sizes = node.value.shape?.length > 0 ? shape(node.value) : "";
    const details = [...node.settings, sizes].filter(Boolean).map((text) => shortened(text, TEXT, 200));
    const title = shortened(called, TITLE, 200);
    const lines = Object.keys(node.texts);
    const wide = Math.max(widthOf(title, TITLE) + (name ? 8 + widthOf(name, TEXT) : 0), 34);
    const width = Math.max(wide, ...[...details, ...Object.values(node.texts)].map((text) => widthOf(text, TEXT)));
    // The last line of an ellipse is where it is narrower.
    const edge = node.kind === "input" ? 12 + 0.15 * Math.min(width, 220) : node.kind === "constant" ? 12 : 9;
    const height = 12 + 14 * (1 + details.length + lines.length) + (node.kind === "input" ? 8 : 0);
    return { w: Math.min(width, 220) + 2 * edge, h: height, title, name, details, lines };
  }

  function closedSize(item) {
    const title = shortened(item.box.title, TITLE, 240);
    const wide = Math.max(widthOf(title, TITLE) + 18, widthOf(counted(item.count), TEXT));
    return { title, closed: { w: wide + 24, h: 42 } };
  }

  function openSome() {
    // From the outermost modules inwards, those are open whose contents still find room.
    const pending = [root];
    let shown = 0, depth = 0;
    for (let at = 0; at < pending.length; at += 1) {
      const { children } = pending[at];
      if (at > 0 && shown + children.length - 1 > AT_FIRST) continue;
      pending[at].open = true;
      depth = pending[at].depth;
      shown += children.length - (at > 0 ? 1 : 0);
      pending.push(...children.filter(({ box }) => box?.module));
    }
    // Where the whole would be too small to be read, the innermost are closed again.
    arrange();
    for (; depth > 0 && Math.min(400 / root.w, 600 / root.h) < LEAST; depth -= 1) {
      for (const item of pending) if (item.depth === depth) item.open = false;
      arrange();
    }
  }

  function standIn(item) {
    let shown = item;
    for (let up = item.parent; up; up = up.parent) if (!up.open) shown = up;
    return shown;
  }

  // The layout: of each open box by itself, from the innermost outwards. What leads in or out passes through ports.

  let shownItems = [], shownEdges = [], byId = new Map();

  function arrange() {
    const open = [root, ...[...items.values()].filter((item) => item.open && standIn(item) === item)];
    for (const item of open) Object.assign(item, { links: new Map(), ports: new Map() });
    shownEdges = [];
    byId = new Map();
    const edges = new Map();
    const times = new Map();
    for (const { key, operands, numbered } of nodes) {
      const to = standIn(items.get(key));
      operands.forEach((operand, at) => {
        const from = standIn(items.get(operand));
        if (from === to) return;
        const pair = `${from.key} ${to.key}`;
        const id = `${operand}_${key}_${at + 1}`;
        const whole = from.box || to.box;
        if (whole && edges.has(pair)) return void byId.set(id, edges.get(pair));
        const nth = times.get(pair) ?? 0;
        times.set(pair, nth + 1);
        const number = numbered && !whole ? String(at + 1) : "";
        const edge = { id, from, to, number, parts: route(from, to, nth) };
        edges.set(pair, edge);
        byId.set(id, edge);
        shownEdges.push(edge);
      });
    }
    for (const item of open.sort((a, b) => b.depth - a.depth)) layOut(item);
    root.left = root.top = 0;
    shownItems = [];
    place(root);
    for (const edge of shownEdges) trace(edge);
  }

  function port(box, source, side) {
    const key = `${side} ${source.key}`;
    if (!box.ports.has(key)) box.ports.set(key, { end: side, w: 10, h: 0, source });
    return box.ports.get(key);
  }

  function route(from, to, nth) {
    const first = [], last = [];
    const link = (box, a, b, trunk, times) => {
      const key = `${a.key ?? `in ${a.source.key}`} ${b.key ?? `out ${b.source.key}`} ${trunk.key} ${times}`;
      const link = { from: a, to: b, source: trunk, trunk: `${trunk.key} ${times}`, nth: times };
      if (!box.links.has(key)) box.links.set(key, link);
      return { box, link: box.links.get(key) };
    };
    let a = from, b = to;
    while (a.parent !== b.parent) {
      if (a.parent.depth >= b.parent.depth && a.parent !== root) {
        first.push(link(a.parent, a, port(a.parent, from, "bottom"), from, 0));
        a = a.parent;
      } else {
        last.push(link(b.parent, port(b.parent, from, "top"), b, from, nth));
        b = b.parent;
      }
    }
    return [...first, link(a.parent, a, b, from, a === from && b === to ? nth : 0), ...last.reverse()];
  }

  function layOut(box) {
    const inside = [...box.ports.values(), ...box.children];
    for (const item of box.children) if (item.box && !item.open) Object.assign(item, item.closed);
    const links = [...box.links.values()];
    for (const link of links) {
      link.fromDx = link.from.open ? link.from.ports.get(`bottom ${link.source.key}`).dx : 10 * link.nth;
      link.toDx = link.to.open ? link.to.ports.get(`top ${link.source.key}`).dx : 10 * link.nth;
    }
    layered(inside, links);
    const reach = (far, of) => inside.reduce((most, one) => Math.max(most, of(one)), far);
    let left = reach(-Infinity, ({ x, w }) => w / 2 - x), right = reach(-Infinity, ({ x, w }) => x + w / 2);
    let top = reach(0, ({ y, h }) => h / 2 - y), bottom = reach(0, ({ y, h }) => y + h / 2);
    if (box !== root) {
      // The title keeps clear of what comes in, on the side where that costs less.
      const title = widthOf(box.title, TITLE) + 30;
      const entries = [...box.ports.values()].filter(({ end }) => end === "top").map(({ x }) => x);
      left += 12;
      right += 12;
      const first = Math.min(...entries, right), last = Math.max(...entries, -left);
      const before = Math.max(0, title - (left + first)), after = Math.max(0, title - (right - last));
      box.titleRight = after < before;
      if (box.titleRight) right += after;
      else left += before;
      top += 26;
      bottom += entries.length < box.ports.size ? 6 : 14;
    }
    Object.assign(box, { w: left + right, h: top + bottom, insideLeft: left, insideTop: top });
    for (const one of box.ports.values()) one.dx = one.x + left - box.w / 2;
  }

  function place(box) {
    for (const item of box.children) {
      item.left = box.left + box.insideLeft + item.x - item.w / 2;
      item.top = box.top + box.insideTop + item.y - item.h / 2;
      shownItems.push(item);
      if (item.open) place(item);
    }
  }

  function trace(edge) {
    const points = [];
    for (const { box, link } of edge.parts) {
      for (const [px, py] of link.points) {
        const x = box.left + box.insideLeft + px, y = box.top + box.insideTop + py;
        const before = points.at(-1);
        if (!before || Math.abs(before[0] - x) + Math.abs(before[1] - y) > 0.5) points.push([x, y]);
      }
    }
    // Arrows that come aslant end on their side of what they lead to, and lines lean at their ends.
    const end = points.at(-1);
    let turn = points.length - 1;
    while (turn > 0 && points[turn - 1][0] === end[0]) turn -= 1;
    if (turn > 0) {
      const most = Math.max(0, edge.to.w / 2 - 14);
      const aside = Math.max(-most, Math.min(most, (points[turn - 1][0] - end[0]) / 5));
      for (let at = turn; at < points.length; at += 1) points[at][0] += aside;
    }
    const [bx, by] = points.at(-2) ?? end;
    const along = 0.3 * (end[0] - bx), down = (end[1] - by) / 2, long = Math.hypot(along, down);
    Object.assign(edge, { points, end, lean: long > 0 ? [along / long, down / long] : [0, 1] });
    edge.bounds = points.reduce(
      ([left, top, right, bottom], [px, py]) => [
        Math.min(left, px), Math.min(top, py), Math.max(right, px), Math.max(bottom, py),
      ],
      [...end, ...end],
    );
  }

  function pathOf({ points, lean }, [left, top, right, bottom]) {
    // Of what many links share, only what is in view is drawn.
    let d = "", isBroken = true;
    for (let at = 1; at < points.length; at += 1) {
      const [[bx, by], [px, py]] = [points[at - 1], points[at]];
      const isAside = Math.max(bx, px) < left || Math.min(bx, px) > right;
      if (isAside || Math.max(by, py) < top || Math.min(by, py) > bottom) {
        isBroken = true;
        continue;
      }
      if (isBroken) d += `M${at1(bx)} ${at1(by)}`;
      isBroken = false;
      const dx = px - bx, dy = py - by, isLast = at === points.length - 1;
      const [ex, ey] = isLast ? [px - 6 * lean[0], py - 6 * lean[1]] : [px, py];
      if (dx === 0) {
        d += `V${at1(ey)}`;
        continue;
      }
      const first = at === 1 ? 0.3 * dx : 0, last = isLast ? 0.3 * dx : 0;
      d += `C${at1(bx + first)} ${at1(by + dy / 2)} ${at1(px - last)} ${at1(py - dy / 2)} ${at1(ex)} ${at1(ey)}`;
    }
    return d;
  }

  const at1 = (number) => Math.round(number * 10) / 10;

  // Drawing: what is in view, and of a large graph from afar only outlines

  const told = new Map(), filled = new Map();
  const groups = { boxes: svg("g"), far: svg("g", { "aria-hidden": "true" }), edges: svg("g"), nodes: svg("g") };
  const whole = svg("g", {}, ...Object.values(groups));
  const canvas = svg("svg", { role: "group", "aria-label": `Graph of ${counted(nodes.length)}` }, whole);
  let size = { width: 0, height: 0 }, view = { x: 0, y: 0, scale: 1 }, fitted = true, isChosen = false;
  let drawn = null, isAsked = false, isOnPaper = false;
  let marks = new Map();

  const outlines = {
    input: (w, h) => [svg("ellipse", { rx: w / 2, ry: h / 2 })],
    parameter: (w, h) => [
      svg("path", { d: `M${-w / 2} ${-h / 2}h${Math.min(26, w / 3)}l4 4H${w / 2}V${h / 2}H${-w / 2}Z` }),
    ],
    constant: (w, h) => [
      svg("path", { d: `M${-w / 2} ${-h / 2}H${w / 2 - 8}l8 8V${h / 2}H${-w / 2}Z` }),
      svg("path", { d: `M${w / 2 - 8} ${-h / 2}v8h8`, class: "fold" }),
    ],
    call: (w, h) => [svg("rect", { x: -w / 2, y: -h / 2, width: w, height: h, rx: 9 })],
  };

  function drawNode(item) {
    const { key, node, w, h, title, name, details, lines } = item;
    const made = svg("g", { id: `node_${key}`, class: "node", role: "button", tabindex: "0" });
    made.setAttribute("aria-label", `${node.name}, ${node.title}`);
    made.dataset.kind = node.kind;
    made.append(...outlines[node.kind](w, h));
    if (node.output) {
      made.dataset.output = "";
      made.append(svg("rect", { x: -w / 2 - 4, y: -h / 2 - 4, width: w + 8, height: h + 8, rx: 12, class: "fold" }));
    }
    const heading = svg("text", { class: "title" }, title);
    if (name) heading.append(svg("tspan", { class: "name", dx: 6 }, name));
    const texts = [heading, ...details.map((text) => svg("text", {}, text))];
    texts.push(...lines.map((line) => svg("text", { class: line })));
    texts.forEach((text, at) => text.setAttribute("y", 14 * (at - (texts.length - 1) / 2) + 4));
    made.append(...texts);
    made.setAttribute("transform", `translate(${at1(item.left + w / 2)} ${at1(item.top + h / 2)})`);
    write(made, key);
    return made;
  }

  function write(made, key) {
    const { value, gradient } = filled.get(key) ?? {};
    const item = items.get(key);
    for (const [line, text] of [["value", value], ["gradient", gradient]]) {
      const place = made.querySelector(`.${line}`);
      if (place) place.textContent = shortened(text ?? "", TEXT, item.w - 12);
    }
  }

  function drawBox(item) {
    const { key, box, open, w, h, title } = item;
    const made = svg("g", { class: open ? "box open" : "box closed", "data-level": item.depth % 2 });
    if (!box.module) made.dataset.repeated = "";
    if (!open && item.output) made.dataset.output = "";
    made.append(svg("rect", { x: 0, y: 0, width: at1(w), height: at1(h), rx: open ? 10 : 4, class: "ground" }));
    const label = `${box.title}, ${counted(item.count)}`;
    const button = svg("g", { id: `box_${key}`, class: "toggle", role: "button", tabindex: "0", "aria-label": label });
    button.setAttribute("aria-expanded", open);
    const wide = widthOf(title, TITLE);
    const x = open ? (item.titleRight ? w - wide - 30 : 6) : (w - wide - 18) / 2;
    const area = open ? { x, y: 4, width: wide + 24, height: 20 } : { width: w, height: h };
    button.append(
      svg("rect", { ...area, rx: 5, class: "press" }),
      svg("path", { d: `M${at1(x + 4)} ${open ? 14 : 17}h8${open ? "" : "m-4 -4v8"}`, class: "sign" }),
      svg("text", { x: at1(x + 18), y: open ? 18 : 21, class: "title" }, title),
    );
    if (!open) button.append(svg("text", { x: w / 2, y: 35, "text-anchor": "middle" }, counted(item.count)));
    button.append(svg("title", {}, box.title));
    made.append(button);
    made.setAttribute("transform", `translate(${at1(item.left)} ${at1(item.top)})`);
    return made;
  }

  function drawEdge(edge) {
    const [x, y] = edge.end, [dx, dy] = edge.lean;
    const made = svg("g", { id: `edge_${edge.id}`, class: "edge" }, svg("path", { d: pathOf(edge, drawn.area) }));
    const back = (side) => `${at1(x - 8 * dx - side * dy)},${at1(y - 8 * dy + side * dx)}`;
    made.append(svg("polygon", { points: `${at1(x)},${at1(y)} ${back(3.5)} ${back(-3.5)}` }));
    if (edge.number) made.append(svg("text", { x: at1(x - 12 * dx + 5), y: at1(y - 8 * dy) }, edge.number));
    return made;
  }

  // What is drawn one by one, by its group and key
  const made = { boxes: new Map(), edges: new Map(), nodes: new Map() };

  function sync(group, wanted, draw) {
    const old = made[group], now = new Map();
    let place = groups[group].firstChild;
    for (const one of wanted) {
      const key = one.key ?? one.id;
      const part = old.get(key) ?? draw(one);
      now.set(key, part);
      old.delete(key);
      if (part === place) place = place.nextSibling;
      else groups[group].insertBefore(part, place);
    }
    for (const part of old.values()) part.remove();
    made[group] = now;
    for (const [key, part] of now) style(part, key);
  }

  function empty(group) {
    for (const part of made[group].values()) part.remove();
    made[group].clear();
  }

  function style(part, key) {
    const names = marks.get(key) ?? "";
    if ((part.marked ?? "") === names) return;
    if (part.marked) part.classList.remove(...part.marked.split(" "));
    if (names) part.classList.add(...names.split(" "));
    part.marked = names;
    if (names.includes("current")) part.setAttribute("aria-current", "step");
    else part.removeAttribute("aria-current");
  }

  function draw() {
    isAsked = false;
    marks = shownMarks();
    if (isStale()) {
      const { width, height } = isOnPaper ? { width: root.w, height: root.h } : size;
      const { x, y, scale } = isOnPaper ? { x: 0, y: 0, scale: 1 } : view;
      // A margin around the view is drawn too, so that dragging moves what is there.
      const across = width / scale / 2, down = height / scale / 2;
      const area = [-x / scale - across, -y / scale - down, (width - x) / scale + across, (height - y) / scale + down];
      drawn = { area, scale };
      empty("edges");
    }
    const { area, scale } = drawn;
    const isIn = ([left, top, right, bottom]) => left < area[2] && right > area[0] && top < area[3] && bottom > area[1];
    const boundsOf = ({ left, top, w, h }) => [left - 8, top - 8, left + w + 8, top + h + 8];
    const seen = shownItems.filter((item) => isIn(boundsOf(item)));
    const isFar = scale < FAR && seen.length > MANY;
    const isMarked = (key) => /current|active|found/.test((marks.get(key) ?? ""));
    const one = isFar ? (item) => item.box || isMarked(item.key) : () => true;
    sync("boxes", seen.filter(({ box }) => box), drawBox);
    sync("nodes", seen.filter((item) => item.node && one(item)), drawNode);
    sync("edges", shownEdges.filter((edge) => (isFar ? isMarked(edge.id) : isIn(edge.bounds))), drawEdge);
    groups.far.replaceChildren(...(isFar ? outline(seen.filter((item) => !one(item))) : []));
    drawn.isFar = isFar;
  }

  const fromAfar = ({ points }) => `M${points.map(([x, y]) => `${Math.round(x)} ${Math.round(y)}`).join("L")}`;

  function outline(seen) {
    const paths = new Map();
    for (const { key, node, left, top, w, h } of seen) {
      const kind = `${node.output ? "output" : node.kind} ${(marks.get(key) ?? "")}`;
      const wide = Math.round(w);
      const d = `M${Math.round(left)} ${Math.round(top)}h${wide}v${Math.round(h)}h${-wide}z`;
      paths.set(kind, `${paths.get(kind) ?? ""}${d}`);
    }
    const edges = svg("path", { d: shownEdges.map(fromAfar).join(""), class: "edges" });
    return [edges, ...[...paths].map(([kind, d]) => {
      const [of, ...names] = kind.split(" ");
      const part = svg("path", { d, class: ["node", ...names].filter(Boolean).join(" ") });
      part.dataset[of === "output" ? "output" : "kind"] = of === "output" ? "" : of;
      return part;
    })];
  }

  function look(glides = false) {
    canvas.classList.toggle("glides", glides);
    whole.style.transform = `translate(${at1(view.x)}px, ${at1(view.y)}px) scale(${view.scale})`;
    if (isStale()) redraw();
  }

  function isStale() {
    // Whether the view has left what is drawn, or is so much closer that less of it were enough.
    if (!drawn || isOnPaper) return true;
    const { x, y, scale } = view;
    const [left, top, right, bottom] = drawn.area;
    const isOver = x > -left * scale || y > -top * scale;
    const isUnder = size.width > right * scale + x || size.height > bottom * scale + y;
    return isOver || isUnder || scale < FAR !== drawn.scale < FAR || scale > 2 * drawn.scale;
  }

  // What is asked for several times at once is done once.
  function redraw() {
    if (isAsked) return;
    isAsked = true;
    queueMicrotask(draw);
  }

  // Moving about

  const EDGE = 12;  // around the graph

  function fitting() {
    return Math.max(0.001, Math.min((size.width - 2 * EDGE) / root.w, (size.height - 2 * EDGE) / root.h, 1.4));
  }

  function fit() {
    const scale = fitting();
    view = { scale, x: (size.width - root.w * scale) / 2, y: (size.height - root.h * scale) / 2 };
    fitted = true;
    look();
  }

  function move(dx, dy) {
    view = { ...view, x: view.x + dx, y: view.y + dy };
    fitted = false;
    look();
  }

  function zoom(factor, x = size.width / 2, y = size.height / 2) {
    const scale = Math.min(5, Math.max(0.001, view.scale * factor));
    const by = scale / view.scale;
    view = { scale, x: x - (x - view.x) * by, y: y - (y - view.y) * by };
    fitted = false;
    isChosen = true;
    look();
  }

  function bring(item, least = 0) {
    // Nothing moves where the item is well in view. Of an open box it is the title.
    if (fitted && view.scale >= least) return;
    const scale = Math.max(view.scale, least);
    const h = item.open ? 28 : item.h, w = item.w;
    const x = item.left + w / 2, y = item.top + h / 2;
    const px = x * scale + view.x, py = y * scale + view.y;
    const aside = Math.min(size.width / 2 - 1, (w * scale) / 2 + 8), high = (h * scale) / 2 + 8;
    const isIn = px >= aside && px <= size.width - aside && py >= high && py <= size.height - high;
    if (scale === view.scale && isIn) return;
    // In the middle, or as near to it as leaves no room empty beside the graph.
    const within = (room, length, middle) =>
      length * scale > room - 2 * EDGE
        ? Math.min(EDGE, Math.max(room - EDGE - length * scale, room / 2 - middle * scale))
        : (room - length * scale) / 2;
    view = { scale, x: within(size.width, root.w, x), y: within(size.height, root.h, y) };
    fitted = false;
    look(true);
  }

  function show(key) {
    // What is too small to be read is enlarged, unless the user has set the scale.
    bring(standIn(items.get(key)), isChosen ? 0 : READABLE);
  }

  function fitAsAsked() {
    isChosen = true;
    fit();
  }

  function toggle(item) {
    const { left, top } = item;
    item.open = !item.open;
    rearrange();
    if (fitted && fitting() > LEAST) fit();
    else move((left - item.left) * view.scale, (top - item.top) * view.scale);
  }

  function rearrange() {
    const held = canvas.contains(document.activeElement) ? document.activeElement.id : null;
    arrange();
    for (const group of Object.keys(made)) empty(group);
    draw();
    if (held) document.getElementById(held)?.focus();
  }

  // Marks and fills. What is told of nodes in a closed box is shown at the box, which is away only if all of them are.

  function mark(key, ...names) {
    told.set(key, new Set([...(told.get(key) ?? []), ...names]));
    redraw();
  }

  function unmark() {
    told.clear();
    redraw();
  }

  function shownMarks() {
    const marks = new Map(), away = new Map();
    const add = (key, name) => marks.set(key, (marks.get(key) ?? new Set()).add(name));
    for (const [key, names] of told) {
      const item = items.get(key);
      const shown = item ? standIn(item) : byId.get(key);
      if (!shown) continue;
      const isWhole = shown.box || shown.id === key || shown === item;
      for (const name of names) {
        if (name !== "away") add(shown.key ?? shown.id, name);
        else if (isWhole) away.set(shown, (away.get(shown) ?? 0) + 1);
      }
    }
    for (const [shown, count] of away) if (!shown.box || count === shown.count) add(shown.key ?? shown.id, "away");
    if (found) add(standIn(found).key, "found");
    return new Map([...marks].map(([key, names]) => [key, [...names].sort().join(" ")]));
  }

  function fill(key, texts) {
    filled.set(key, { ...filled.get(key), ...texts });
    const part = made.nodes.get(key);
    if (part) write(part, key);
  }

  // Search

  const normal = (text) => text.toLocaleLowerCase();
  const about = ({ node, box }) => normal(box ? box.title : [node.name, node.title, ...node.settings].join(" "));
  let hits = [], at = -1, found = null;

  function search(text) {
    const sought = normal(text.trim());
    hits = sought ? [...items.values()].filter((item) => about(item).includes(sought)) : [];
    at = -1;
    found = null;
    if (hits.length > 0) return step(1);
    say(sought ? "none" : "");
    redraw();
  }

  function step(by) {
    if (hits.length === 0) return;
    at = (at + by + hits.length) % hits.length;
    found = hits[at];
    say(`${count(at + 1)} of ${count(hits.length)}`);
    let isHidden = false;
    for (let up = found.parent; up !== root; up = up.parent) {
      isHidden ||= !up.open;
      up.open = true;
    }
    if (isHidden) {
      rearrange();
      fitted = false;
    }
    bring(found, 0.8);
    redraw();
  }

  const result = make("span", { class: "count", role: "status" });
  const say = (text) => (result.textContent = text);

  // The bar, and what the pointer and the keys do

  function button(label, sign, action) {
    const made = make("button", { type: "button", "aria-label": label, title: label });
    made.append(svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: sign })));
    made.addEventListener("click", action);
    return made;
  }

  const field = make("input", { type: "search", placeholder: "Search", "aria-label": "Search the graph" });
  const before = button("Previous match", "M4 10l4-4 4 4", () => step(-1));
  const next = button("Next match", "M4 6l4 4 4-4", () => step(1));
  const around = make("span", { class: "hits" }, result, before, next);
  const searching = make("div", { class: "search", role: "search" }, field, around);
  const controls = make(
    "div",
    { class: "zoom", role: "group", "aria-label": "View" },
    button("Zoom out", "M3 8h10", () => zoom(1 / 1.4)),
    button("Zoom in", "M3 8h10M8 3v10", () => zoom(1.4)),
    button("Fit", "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4", fitAsAsked),
  );
  if (boxes.length > 0) {
    controls.append(
      button("Close all modules", "M4 2l4 4 4-4M4 14l4-4 4 4", () => setAll(false)),
      button("Open all modules", "M4 6l4-4 4 4M4 10l4 4 4-4", () => setAll(true)),
    );
  }

  function setAll(open) {
    for (const item of items.values()) if (item.box) item.open = open;
    rearrange();
    fit();
  }

  field.addEventListener("input", () => search(field.value));
  searching.addEventListener("keydown", (event) => {
    event.stopPropagation();  // the page has its own use for some keys
    if (event.key === "Enter" && event.target === field) step(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") {
      field.value = "";
      search("");
    }
  });

  const itemOf = (target) => {
    const part = target.closest?.(".node[id], .toggle");
    return part ? items.get(part.id.replace(/^(node|box)_/, "")) : null;
  };
  // Of outlines, by the place
  const itemAt = (event) => {
    const item = itemOf(event.target);
    if (item || !drawn.isFar) return item;
    const frame = canvas.getBoundingClientRect();
    const x = (event.clientX - frame.left - view.x) / view.scale, y = (event.clientY - frame.top - view.y) / view.scale;
    const isOn = ({ left, top, w, h }) => x >= left && x <= left + w && y >= top && y <= top + h;
    return shownItems.find((one) => one.node && isOn(one)) ?? null;
  };

  function press(item) {
    if (item.box) toggle(item);
    else pane.onselect(item.key);
  }

  const pointers = new Map();
  let travelled = 0;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (pointers.size === 0) travelled = 0;
    pointers.set(event.pointerId, event);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    travelled += Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY);
    if (travelled < 4) return;
    canvas.setPointerCapture(event.pointerId);  // not before: it would take the click from what was pressed
    const frame = canvas.getBoundingClientRect();
    const other = [...pointers.values()].find(({ pointerId }) => pointerId !== event.pointerId);
    pointers.set(event.pointerId, event);
    if (!other) return move(event.clientX - before.clientX, event.clientY - before.clientY);
    const spread = (one) => Math.max(1, Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY));
    move((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
    const x = (event.clientX + other.clientX) / 2 - frame.left, y = (event.clientY + other.clientY) / 2 - frame.top;
    zoom(spread(event) / spread(before), x, y);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
  canvas.addEventListener("click", (event) => {
    const item = travelled < 4 ? itemAt(event) : null;
    if (item) press(item);
  });
  canvas.addEventListener("dblclick", (event) => {
    if (!itemAt(event)) fitAsAsked();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const frame = canvas.getBoundingClientRect();
    const lines = event.deltaMode === 1 ? 30 : 1;
    const by = Math.exp(-Math.max(-240, Math.min(240, event.deltaY * lines)) * (event.ctrlKey ? 0.01 : 0.002));
    zoom(by, event.clientX - frame.left, event.clientY - frame.top);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const item = itemOf(event.target);
    if (!item || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    event.stopPropagation();
    press(item);
  });
  canvas.addEventListener("focusin", (event) => {
    const item = itemOf(event.target);
    if (item && event.target.matches(":focus-visible")) bring(item);
  });

  // On paper, all of it
  addEventListener("beforeprint", () => {
    canvas.classList.remove("glides");
    whole.style.transform = "none";
    canvas.setAttribute("viewBox", `-10 -10 ${root.w + 20} ${root.h + 20}`);
    isOnPaper = true;
    draw();
  });
  addEventListener("afterprint", () => {
    canvas.removeAttribute("viewBox");
    isOnPaper = false;
    drawn = null;
    look();
    draw();
  });

  const kinds = [...new Set(nodes.map(({ kind }) => kind)), "output"];
  const legend = make("ul", { class: "legend", "aria-label": "Legend" });
  for (const kind of Object.keys(outlines).filter((one) => kinds.includes(one)).concat("output")) {
    const sample = svg("svg", { viewBox: "-14 -9 28 18", "aria-hidden": "true" });
    const part = svg("g", { class: "node" }, ...outlines[kind === "output" ? "call" : kind](24, 14));
    part.dataset[kind === "output" ? "output" : "kind"] = kind === "output" ? "" : kind;
    legend.append(make("li", {}, (sample.append(part), sample), kind));
  }

  element.replaceChildren(make("div", { class: "bar" }, searching, controls), canvas, legend);
  openSome();
  new ResizeObserver(() => {
    if (isOnPaper) return;
    const { clientWidth: width, clientHeight: height } = canvas;
    size = { width, height };
    if (fitted) fit();
    else look();
    draw();
  }).observe(canvas);
  size = { width: canvas.clientWidth, height: canvas.clientHeight };
  fit();
  draw();
  return pane;
}
