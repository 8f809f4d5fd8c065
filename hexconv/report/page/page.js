"use strict";
// The page is made of the data in #data: every name goes in as text, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const FIRST_ROWS = 50, MOST_BARS = 30;
const state = { language: 0, dark: false };
const charts = [];

const say = (text) => (Array.isArray(text) ? text[state.language] : String(text ?? ""));
const word = (key) => say(data.words[key]);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function digits(value) {
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(3);
  return value.toLocaleString("en-US", { maximumSignificantDigits: 5 });
}

function size(value) {
  for (const [unit, scale] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 1024]])
    if (value >= scale) return `${(value / scale).toFixed(1)} ${unit}`;
  return `${value} B`;
}

function shown(value, kind) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return say(value);
  if (kind === "share") return `${(100 * value).toFixed(value < 0.001 && value > 0 ? 3 : 1)} %`;
  if (kind === "bytes") return size(value);
  if (kind === "db") return value >= 200 ? word("exact") : value <= -200 ? word("silent") : value.toFixed(1);
  if (kind === "integer") return Math.round(value).toLocaleString("en-US");
  return digits(value);
}

// ---- tables

function compare(a, b) {
  if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
  if (b === null || b === undefined) return -1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return say(a).localeCompare(say(b), undefined, { numeric: true });
}

function csv(section) {
  const cell = (value) => {
    let text = value === null || value === undefined ? "" : say(value);
    // A spreadsheet computes a cell that begins like a formula.
    if (typeof value !== "number" && /^[=+\-@\t\r]/.test(text)) text = "'" + text;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [section.columns.map((column) => cell(column[0])), ...section.rows.map((row) => row.map(cell))];
  return lines.map((line) => line.join(",") + "\r\n").join("");
}

function download(section) {
  const address = URL.createObjectURL(new Blob(["\ufeff" + csv(section)], { type: "text/csv" }));
  make("a", { href: address, download: `${data.name}-${section.id}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function table(section) {
  const view = { by: -1, down: false, all: false, find: "" };
  const body = make("tbody"), heads = make("tr"), more = make("div", { class: "tools" });
  section.columns.forEach(([title, kind], index) => {
    const sort = () => {
      view.down = view.by === index ? !view.down : kind !== "text";
      view.by = index;
      fill();
    };
    const button = make("button", { type: "button", onclick: sort }, say(title));
    heads.append(make("th", { scope: "col", class: kind === "text" ? "text" : "figure" }, button));
  });
  function fill() {
    const wanted = view.find.toLowerCase();
    let rows = section.rows.filter((row) => !wanted || row.some((cell) => say(cell).toLowerCase().includes(wanted)));
    if (view.by >= 0) {
      rows = rows.map((row, index) => [row, index]);
      const sign = view.down ? -1 : 1;
      rows.sort(([a, i], [b, j]) => {
        const missing = (a[view.by] === null) - (b[view.by] === null);
        return missing || sign * compare(a[view.by], b[view.by]) || i - j;
      });
      rows = rows.map(([row]) => row);
    }
    [...heads.children].forEach((head, index) => {
      if (index === view.by) head.setAttribute("aria-sort", view.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const few = view.all ? rows : rows.slice(0, FIRST_ROWS);
    body.replaceChildren(...few.map((row) => make("tr", {}, ...row.map((value, index) => {
      const kind = section.columns[index][1];
      return make("td", { class: kind === "text" ? "text" : "figure" }, shown(value, kind));
    }))));
    const rest = make("button", { type: "button", onclick: () => { view.all = true; fill(); } },
      word("all").replace("{}", rows.length));
    more.replaceChildren(...(few.length < rows.length ? [rest] : []));
  }
  fill();
  const find = make("input", { type: "search", placeholder: word("find"), "aria-label": word("find"),
    oninput: (event) => { view.find = event.target.value; fill(); } });
  const save = make("button", { type: "button", class: "csv", onclick: () => download(section) }, word("csv"));
  const tools = make("div", { class: "tools" }, save, ...(section.rows.length > 8 ? [find] : []));
  const grid = make("table", { "aria-label": say(section.title) }, make("thead", {}, heads), body);
  return [tools, make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say(section.title) }, grid), more];
}

// ---- charts

function theme() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  return { ink: color("--ink"), soft: color("--soft"), line: color("--line"), card: color("--card"),
    series: [color("--blue"), state.dark ? "#e3b341" : "#bc4c00", state.dark ? "#8b949e" : "#8c959f"] };
}

function short(text, most = 26) {
  return text.length <= most ? text : `${text.slice(0, most / 2 - 1)}…${text.slice(1 - most / 2)}`;
}

function common(colors) {
  return { animation: false, aria: { enabled: true }, textStyle: { color: colors.ink, fontFamily: "system-ui, sans-serif" },
    tooltip: { confine: true, renderMode: "richText", backgroundColor: colors.card, textStyle: { color: colors.ink } },
    color: colors.series };
}

const axis = (colors) => ({ axisLabel: { color: colors.soft }, splitLine: { lineStyle: { color: colors.line } },
  axisLine: { lineStyle: { color: colors.line } } });

const compact = (value) => Math.abs(value) >= 1e6 ? `${digits(value / 1e6)} M` : Math.abs(value) >= 1e4 ? `${digits(value / 1e3)} k` : digits(value);

function bars(section, colors) {
  const { columns } = section, any = (at) => section.rows.some((row) => row[at] !== null);
  const chart = { ...section.chart, series: section.chart.series.filter(any) };
  const rows = section.rows.filter((row) => chart.series.some((at) => row[at] !== null)).slice(0, MOST_BARS);
  const label = (row) => say(row[chart.label]) + (chart.also === undefined ? "" : `, ${say(row[chart.also])}`);
  const format = (value, kind) => shown(value, kind);
  return { height: 70 + rows.length * (chart.series.length > 1 ? 34 : 24), options: {
    ...common(colors),
    legend: chart.series.length > 1 ? { textStyle: { color: colors.ink }, top: 0 } : undefined,
    grid: { left: 8, right: 60, top: chart.series.length > 1 ? 30 : 8, bottom: 8, containLabel: true },
    xAxis: { type: "value", ...axis(colors), axisLabel: { color: colors.soft, formatter: chart.unit === "bytes" ? size : compact } },
    yAxis: { type: "category", inverse: true, ...axis(colors), data: rows.map(label),
      axisLabel: { color: colors.ink, formatter: (text) => short(text, innerWidth < 700 ? 16 : 40) } },
    series: chart.series.map((at) => ({ type: "bar", name: say(columns[at][0]), barMaxWidth: 18,
      label: { show: true, position: "right", color: colors.ink,
        formatter: ({ dataIndex }) => format(rows[dataIndex][at], columns[at][1]) },
      data: rows.map((row) => row[at] === null ? null : columns[at][1] === "db" ? Math.min(row[at], 100) : row[at]) })) } };
}

function lines(section, colors) {
  const { chart, columns, rows } = section;
  const bound = (value) => value === null ? null : Math.max(-20, Math.min(100, value));
  return { height: 340, options: {
    ...common(colors),
    tooltip: { ...common(colors).tooltip, trigger: "axis" },
    legend: { textStyle: { color: colors.ink }, top: 0 },
    grid: { left: 8, right: 16, top: 34, bottom: 8, containLabel: true },
    xAxis: { type: "category", ...axis(colors), data: rows.map((row) => say(row[chart.label])),
      axisLabel: { color: colors.soft, formatter: (text) => short(text, 16), hideOverlap: true } },
    yAxis: { type: "value", name: chart.unit, ...axis(colors) },
    series: chart.series.map((at, index) => ({ type: "line", name: say(columns[at][0]), showSymbol: rows.length < 60,
      symbolSize: 5, lineStyle: { width: 2, type: index === 2 ? "dashed" : "solid" }, connectNulls: true,
      data: rows.map((row) => bound(row[at])) })) } };
}

function treemap(section, colors) {
  const { chart } = section, groups = new Map();
  for (const row of section.rows) {
    if (!row[chart.value]) continue;
    const group = say(row[chart.group]);
    if (!groups.has(group)) groups.set(group, { name: group, children: [] });
    groups.get(group).children.push({ name: say(row[chart.label]), value: row[chart.value] });
  }
  return { height: innerWidth < 700 ? 320 : 420, options: {
    ...common(colors),
    color: ["#3f7fbf", "#c2703d", "#5b9a5b", "#8a6fb0", "#b0575c", "#4f9a9a", "#a08a3c", "#7a8793"],
    tooltip: { ...common(colors).tooltip,
      formatter: (info) => `${info.name}\n${Math.round(info.value).toLocaleString("en-US")}` },
    series: [{ type: "treemap", roam: false, nodeClick: "zoomToNode", width: "100%", top: 0, bottom: 30, left: 0, right: 0,
      leafDepth: 2, breadcrumb: { bottom: 0, itemStyle: { color: colors.card, textStyle: { color: colors.ink } } },
      label: { show: true, formatter: "{b}", color: "#fff" }, upperLabel: { show: true, height: 20, color: "#fff" },
      itemStyle: { borderColor: colors.card, gapWidth: 1 },
      levels: [{ itemStyle: { gapWidth: 3, borderColor: colors.card }, upperLabel: { show: false } },
        { itemStyle: { gapWidth: 1, borderColor: "#7a8793" } }, { colorSaturation: [0.35, 0.5] }],
      data: [...groups.values()] }] } };
}

function waterfall(section, colors) {
  const { chart } = section;
  const rows = section.rows.filter((row) => row[chart.value]);
  const total = rows.reduce((sum, row) => sum + row[chart.value], chart.end);
  const names = [word("start")], hidden = [0], visible = [total];
  let level = total;
  for (const row of rows) {
    const next = level - row[chart.value];
    names.push(say(row[chart.label]));
    hidden.push(Math.min(level, next));
    visible.push(Math.abs(row[chart.value]));
    level = next;
  }
  names.push(word("end")); hidden.push(0); visible.push(chart.end);
  const paint = (index) => index === 0 || index === names.length - 1 ? colors.series[0]
    : rows[index - 1][chart.value] > 0 ? "#3f9a57" : "#cf4a4a";
  return { height: 70 + names.length * 26, options: {
    ...common(colors),
    grid: { left: 8, right: 60, top: 8, bottom: 8, containLabel: true },
    xAxis: { type: "value", ...axis(colors), axisLabel: { color: colors.soft, formatter: compact } },
    yAxis: { type: "category", inverse: true, data: names, ...axis(colors), axisLabel: { color: colors.ink } },
    series: [{ type: "bar", stack: "w", silent: true, itemStyle: { color: "transparent" }, data: hidden },
      { type: "bar", stack: "w", barMaxWidth: 20, label: { show: true, position: "right", color: colors.ink, formatter: ({ value }) => compact(value) },
        data: visible.map((value, index) => ({ value, itemStyle: { color: paint(index) } })) }] } };
}

function histogram(section, colors, at) {
  const row = section.rows[at], counts = section.details[at], { chart } = section;
  const step = (row[chart.high] - row[chart.low]) / counts.length;
  return { height: 280, options: {
    ...common(colors),
    grid: { left: 8, right: 16, top: 30, bottom: 8, containLabel: true },
    xAxis: { type: "category", ...axis(colors), data: counts.map((_, index) => digits(row[chart.low] + (index + 0.5) * step)),
      axisLabel: { color: colors.soft, hideOverlap: true } },
    yAxis: { type: "value", name: word("values"), ...axis(colors), axisLabel: { color: colors.soft, formatter: compact } },
    series: [{ type: "bar", barCategoryGap: "8%", data: counts }] } };
}

function graph(section) {
  const [{ width, height, box, places, lines: edges }] = section.details, { chart } = section;
  const part = (tag, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const most = Math.max(...section.rows.map((row) => row[chart.share]), 1e-9);
  const svg = part("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
  for (const [from, to] of edges) {
    const x1 = places[from][0] + box[0] / 2, y1 = places[from][1] + box[1];
    const x2 = places[to][0] + box[0] / 2, y2 = places[to][1];
    const bend = Math.max(12, (y2 - y1) / 2);
    svg.append(part("path", { class: "edge", d: `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}` }));
  }
  section.rows.forEach((row, index) => {
    const [x, y] = places[index];
    const told = [say(row[chart.label]), say(row[chart.op]), shown(row[chart.share], "share"),
      row[chart.error] === null ? "" : `${shown(row[chart.error], "db")} dB`].filter(Boolean);
    const name = part("text", { x: x + 8, y: y + 14 }, short(told[0], 30));
    const op = part("text", { x: x + 8, y: y + 28, class: "op" }, short(told[1], 30));
    const fill = part("rect", { x, y, width: box[0], height: box[1], rx: 5, "fill-opacity": 0.08 + 0.62 * row[chart.share] / most });
    const back = part("rect", { x, y, width: box[0], height: box[1], rx: 5, class: "back" });
    svg.append(part("g", { class: "node", tabindex: "0" }, part("title", {}, told.join("\n")), back, fill, name, op));
  });
  return [make("div", { class: "graph", tabindex: "0", role: "region", "aria-label": say(section.title) }, svg)];
}

const KINDS = { bars, lines, treemap, waterfall, histogram };

function chart(section) {
  const holder = make("div", { class: "chart", role: "img", "aria-label": say(section.title) });
  const view = { at: 0 }, entry = { holder, instance: null };
  entry.draw = () => {
    const made = KINDS[section.chart.type](section, theme(), view.at);
    holder.style.height = `${made.height}px`;
    if (entry.instance) entry.instance.dispose();
    entry.instance = echarts.init(holder, null, { renderer: "svg" });
    entry.instance.setOption(made.options);
    holder.dataset.drawn = "yes";
  };
  // The height is known before it is drawn, so that links lead where they should.
  holder.style.height = `${KINDS[section.chart.type](section, theme(), 0).height}px`;
  charts.push(entry);
  if (section.chart.type !== "histogram") return [holder];
  const choose = make("select", { onchange: (event) => { view.at = Number(event.target.value); entry.draw(); } },
    ...section.rows.map((row, index) => make("option", { value: index }, say(row[section.chart.label]))));
  return [make("div", { class: "tools" }, make("label", {}, `${word("choose")} `, choose)), holder];
}

// Charts are drawn when they come near the screen, and all of them before printing.
const near = new IntersectionObserver((entries) => {
  for (const item of entries) {
    const entry = charts.find((found) => found.holder === item.target);
    if (item.isIntersecting && entry && !entry.instance) entry.draw();
  }
}, { rootMargin: "600px" });

const redraw = () => charts.forEach((entry) => entry.instance && entry.draw());

// ---- the page

function card({ id, title, value, detail, state: mood, link }) {
  const known = data.sections.some((section) => section.id === link);
  return make(known ? "a" : "div", { class: `card ${mood}`, id, href: known ? `#${link}` : undefined },
    make("h2", {}, say(title)), make("div", { class: "value" }, say(value)), make("div", { class: "detail" }, say(detail)));
}

function sectionOf(section) {
  const heading = make("h2", {}, make("a", { href: `#${section.id}`, title: word("link") }, say(section.title)));
  const kind = section.chart.type;
  const drawn = kind === "graph" ? graph(section) : KINDS[kind] ? chart(section) : [];
  return make("section", { id: section.id }, heading, make("p", {}, say(section.note)), ...drawn, ...table(section));
}

function build() {
  charts.forEach((entry) => entry.instance && entry.instance.dispose());
  charts.length = 0;
  near.disconnect();
  document.documentElement.lang = state.language ? "zh-CN" : "en";
  document.getElementById("name").textContent = data.name;
  document.getElementById("made").textContent = [data.library && `${word("library")} ${data.library}`, `hexconv ${data.hexconv}`].filter(Boolean).join(" · ");
  document.getElementById("language").textContent = word("language");
  document.getElementById("theme").textContent = word("theme");
  const failed = data.error ? [make("div", { class: "card bad" }, make("div", { class: "value" }, say(data.error)))] : [];
  document.getElementById("cards").replaceChildren(...failed, ...data.cards.map(card));
  document.getElementById("next").replaceChildren(make("h2", {}, word("next")),
    make("ol", {}, ...data.steps.map((step) => make("li", {}, say(step)))));
  document.getElementById("next").hidden = data.steps.length === 0;
  document.getElementById("contents").setAttribute("aria-label", word("contents"));
  document.getElementById("contents").replaceChildren(...data.sections.map((section) => make("a", { href: `#${section.id}` }, say(section.title))));
  document.getElementById("sections").replaceChildren(...data.sections.map(sectionOf));
  charts.forEach((entry) => near.observe(entry.holder));
}

function remember(key, value) {
  try { localStorage.setItem(`hexconv-${key}`, value); } catch { /* a page of a file may have no storage */ }
}

function remembered(key) {
  try { return localStorage.getItem(`hexconv-${key}`); } catch { return null; }
}

function setTheme(dark) {
  state.dark = dark;
  document.documentElement.classList.toggle("dark", dark);
}

state.language = (remembered("language") ?? (navigator.language.startsWith("zh") ? "1" : "0")) === "1" ? 1 : 0;
setTheme((remembered("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark");
document.getElementById("language").addEventListener("click", () => {
  state.language = 1 - state.language;
  remember("language", state.language);
  build();
});
document.getElementById("theme").addEventListener("click", () => {
  setTheme(!state.dark);
  remember("theme", state.dark ? "dark" : "light");
  redraw();
});
let waiting = 0;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(redraw, 150);
});
addEventListener("beforeprint", () => {  // paper is light
  const { dark } = state;
  setTheme(false);
  charts.forEach((entry) => entry.draw());
  addEventListener("afterprint", () => { setTheme(dark); redraw(); }, { once: true });
});
build();
if (location.hash) {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) target.scrollIntoView({ behavior: "instant" });
}
